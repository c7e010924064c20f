//! The engine's time and background work, as the worker's runtime gives them.

use crate::bridge::{self, Context};
use crate::engine::Runtime;
use crate::policy::plan::Cause;
use crate::policy::time::UnixMillis;
use crate::task;
use std::future::Future;
use std::rc::Rc;

/// The runtime of one request.
#[derive(Clone, Debug)]
pub struct RequestRuntime {
    context: Rc<Context>,
}

impl RequestRuntime {
    /// The runtime of the request that `context` belongs to.
    #[must_use]
    pub const fn new(context: Rc<Context>) -> Self {
        Self { context }
    }
}

impl Runtime for RequestRuntime {
    /// The runtime's clock stands still while code runs and goes on with every answer from outside.
    fn now(&self) -> UnixMillis {
        now()
    }

    async fn sleep(&self, milliseconds: u64) {
        task::pause(milliseconds).await;
    }

    fn unique(&self) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number below 2^53"
        )]
        let number = (js_sys::Math::random() * 9_007_199_254_740_992.0) as u64;
        number
    }

    fn spawn(&self, _path: &str, fill: impl Future<Output = ()> + 'static) {
        // It refuses only once the request is over; the fill has begun all the same.
        _ = self.context.wait_until(&task::spawn(fill));
    }

    fn note_covered(&self, path: &str, cause: Cause) {
        bridge::log_warning(&format!("`{path}` is served stale: {}", cause.as_str()));
    }
}

/// The present moment.
#[must_use]
pub fn now() -> UnixMillis {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole milliseconds since 1970"
    )]
    UnixMillis(js_sys::Date::now() as u64)
}
