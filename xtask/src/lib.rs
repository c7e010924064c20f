//! What the chores share with the end-to-end tests.
pub mod sample;
