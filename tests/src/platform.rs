//! Stand-ins for what Cloudflare's platform puts round the worker, since Workers Cache cannot be had
//! locally.
//!
//! [`fake`] imitates `ctx.cache`, the limit on purges and the queue closely, and stores little.
//! [`cached`] has a real shared cache, Varnish, between the two entries. Both run the worker as it is
//! deployed, with the configuration that is deployed: [`configuration`] reads `wrangler.toml`.

pub mod cached;
pub mod configuration;
pub mod fake;
pub mod varnish;
pub mod workerd;
