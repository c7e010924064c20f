//! `medialift nginx` on the real binary, and what it prints in a real nginx: over TLS on both sides,
//! under `medialift verify`, and the block for the instance's own server.

mod answers;
mod command;
mod old_addresses;
mod tls;
