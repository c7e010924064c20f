//! The engine's time and background work, as the worker's runtime gives them.

use crate::admission::ObjectKey;
use crate::engine::Runtime;
use crate::policy::origin_error::OriginError;
use crate::policy::time::UnixMillis;
use crate::{log, sdk};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;
use worker::{Context, Delay, js_sys};

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
        Delay::from(Duration::from_millis(milliseconds)).await;
    }

    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        sdk::wait_until(&self.context, Box::pin(work));
    }

    fn report(&self, key: &ObjectKey, error: OriginError, covered: bool) {
        log::origin_failed(key, error, Some(covered));
    }
}

/// The present moment.
#[must_use]
pub fn now() -> UnixMillis {
    // A whole number of milliseconds since 1970, far from the end of what it can hold.
    UnixMillis(js_sys::Date::now() as u64)
}
