//! The engine's time and background work, from the Workers runtime.

use crate::admission::ObjectKey;
use crate::engine::Runtime;
use crate::policy::origin_error::OriginError;
use crate::policy::time::UnixMillis;
use crate::{log, sdk};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;
use worker::{Context, Delay, js_sys};

#[derive(Clone, Debug)]
pub struct RequestRuntime {
    context: Rc<Context>,
}

impl RequestRuntime {
    pub const fn new(context: Rc<Context>) -> Self {
        Self { context }
    }
}

impl Runtime for RequestRuntime {
    /// The runtime's clock advances only with input and output, not while code runs.
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

pub fn now() -> UnixMillis {
    // A whole number far below `u64::MAX`.
    UnixMillis(js_sys::Date::now() as u64)
}
