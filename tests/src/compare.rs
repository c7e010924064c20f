//! The comparison with nginx: the same questions put to nginx and to the worker in front of the
//! same origin, and every difference either explained or a failure.
//!
//! [`scenario`] is the data, [`exchange`] one request on the wire, [`outcome`] what is compared of
//! its answer, [`runner`] puts the questions, [`deviation`] knows the accepted differences and
//! [`report`] judges and prints. Which address is which, and starting and stopping, is left to the
//! caller.

pub mod deviation;
pub mod exchange;
pub mod outcome;
pub mod report;
pub mod runner;
pub mod scenario;
