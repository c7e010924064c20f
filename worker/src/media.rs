//! The way of a read in engine mode, from the admitted request to the response, in the order in which
//! things happen. The single steps are [`crate::engine`]'s; platform mode is [`crate::platform`]'s.

use crate::bridge::{self, Context};
use crate::engine::{
    Answer, Engine, LONGEST_WAIT_MILLISECONDS, Looked, Origin, Read, Runtime, Store,
};
use crate::origin::Bucket;
use crate::policy::plan::Cause;
use crate::policy::status::CacheStatus;
use crate::respond;
use crate::runtime::RequestRuntime;
use crate::site::Site;
use crate::store::EdgeCache;
use std::rc::Rc;
use web_sys::Response;

const FIRST_WAIT_STEP_MILLISECONDS: u64 = 10;
const LONGEST_WAIT_STEP_MILLISECONDS: u64 = 100;

/// Answers a read that was admitted: [`Engine::read`], and its answer becomes the response.
pub async fn read(site: &Rc<Site>, context: Rc<Context>, read: Read<'_>, head: bool) -> Response {
    let answer = engine(site, context).read(read).await;
    answer.map_or_else(
        |cause| {
            bridge::log_error(&format!(
                "no answer for `{}`: {}",
                read.path,
                cause.as_str()
            ));
            respond::failure(cause)
        },
        |answer| respond::answer(answer, head),
    )
}

impl<S, O, R> Engine<S, O, R>
where
    S: Store,
    O: Origin<Body = S::Body>,
    R: Runtime,
{
    /// Answers a read. `Err` only where neither origin nor store has an answer.
    pub async fn read(&self, read: Read<'_>) -> Result<Answer<S::Found, S::Body>, Cause> {
        self.clear_up(read.path).await;
        let ended = self.fills.ended();
        match self.look_settled(read).await {
            Looked::Fresh(found) => Ok(self.serve(read, found, CacheStatus::Hit).await),
            Looked::Stale(found) => match self.fills.take(read.path, self.runtime.now().0) {
                Some(lock) => {
                    drop(found);
                    self.fill_and_serve(read, lock, false).await
                }
                None => Ok(self.serve(read, found, CacheStatus::Updating).await),
            },
            Looked::Absent => self.fill_or_wait(read, Some(ended)).await,
        }
    }

    /// Nothing is stored: becomes the one who fills, or waits for the one who does. `ended`: how many
    /// fills had ended before the store was looked into and nothing was found.
    async fn fill_or_wait(
        &self,
        read: Read<'_>,
        mut ended: Option<u64>,
    ) -> Result<Answer<S::Found, S::Body>, Cause> {
        let end = self.runtime.now().0 + LONGEST_WAIT_MILLISECONDS;
        let mut step = FIRST_WAIT_STEP_MILLISECONDS;
        loop {
            let now = self.runtime.now().0;
            if let Some(lock) = self.fills.take(read.path, now) {
                let is_absent = ended == Some(self.fills.ended())
                    && self.fills.trouble(read.path, now).is_none();
                return self.fill_and_serve(read, lock, is_absent).await;
            }
            if now >= end {
                // Another isolate may have stored it meanwhile.
                return match self.look_settled(read).await {
                    Looked::Fresh(found) => Ok(self.serve(read, found, CacheStatus::Hit).await),
                    Looked::Stale(found) => {
                        Ok(self.serve(read, found, CacheStatus::Updating).await)
                    }
                    Looked::Absent => self.pass_through(read).await,
                };
            }
            self.runtime.sleep(step.min(end - now)).await;
            step = (step * 2).min(LONGEST_WAIT_STEP_MILLISECONDS);
            // While the fill is under way the table says so without a look into the store.
            if self.fills.is_filling(read.path, self.runtime.now().0) {
                continue;
            }
            let before = self.fills.ended();
            ended = match self.look_settled(read).await {
                Looked::Fresh(found) => return Ok(self.serve(read, found, CacheStatus::Hit).await),
                Looked::Stale(_) => None,
                Looked::Absent => Some(before),
            };
        }
    }
}

/// The engine of one request.
pub fn engine(site: &Rc<Site>, context: Rc<Context>) -> Engine<EdgeCache, Bucket, RequestRuntime> {
    Engine {
        store: EdgeCache,
        origin: Bucket::new(site.settings.clone()),
        runtime: RequestRuntime::new(context),
        fills: site.fills.clone(),
        rule: site.settings.freshness,
    }
}
