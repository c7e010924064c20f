//! Futures, driven straight from the callbacks of JavaScript's promises.
//!
//! `wasm-bindgen-futures` makes two closures for each promise that is awaited, has each of them
//! watched by the garbage collector, and polls a turn later: on a hit that cost more than all else
//! the worker does. Here one closure serves every promise of the isolate, a future is polled in the
//! very callback that its promise makes, and what is ready at once is answered without a promise.
//!
//! **Architecture Invariant:** a future wakes none but those of its own request, since whoever is
//! woken is polled at once, in the request that is being served just then.

use crate::bridge;
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::Closure;

thread_local! {
    static ISOLATE: Isolate = Isolate::new();
}

/// Runs `work` as far as it goes without waiting. What it comes to, or a promise of it.
pub fn start(work: impl Future<Output = JsValue> + 'static) -> JsValue {
    ISOLATE.with(|isolate| isolate.start(Box::pin(work)))
}

/// Runs `work` beside the future that calls this.
pub fn spawn(work: impl Future<Output = ()> + 'static) -> JsValue {
    start(async move {
        work.await;
        JsValue::UNDEFINED
    })
}

/// What a promise comes to.
pub fn settled(promise: &JsValue) -> Settled {
    ISOLATE.with(|isolate| {
        let id = isolate.expect();
        bridge::listen(promise, id as u32, &isolate.settle);
        Settled(Some(id))
    })
}

/// Waits on a timer of the runtime, which goes with this future.
pub async fn pause(milliseconds: u64) {
    struct Timer(f64);
    impl Drop for Timer {
        fn drop(&mut self) {
            bridge::stop_timer(self.0);
        }
    }
    let (_timer, elapsed) = ISOLATE.with(|isolate| {
        let id = isolate.expect();
        let milliseconds = u32::try_from(milliseconds).unwrap_or(u32::MAX);
        let timer = bridge::start_timer(milliseconds, id as u32, &isolate.settle);
        (Timer(timer), Settled(Some(id)))
    });
    // A timer only ever succeeds.
    _ = elapsed.await;
}

/// The future of [`settled`].
#[derive(Debug)]
pub struct Settled(Option<usize>);

impl Future for Settled {
    type Output = Result<JsValue, JsValue>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(id) = self.0 else {
            return Poll::Pending;
        };
        ISOLATE.with(|isolate| {
            let mut expected = isolate.expected.borrow_mut();
            if let Some(Expected::Pending(waker)) = expected.get_mut(id) {
                *waker = Some(context.waker().clone());
                return Poll::Pending;
            }
            self.0 = None;
            match expected.try_remove(id) {
                Some(Expected::Settled(outcome)) => Poll::Ready(outcome),
                _ => Poll::Pending,
            }
        })
    }
}

impl Drop for Settled {
    fn drop(&mut self) {
        let Some(id) = self.0 else { return };
        ISOLATE.with(|isolate| {
            let mut expected = isolate.expected.borrow_mut();
            match expected.get_mut(id) {
                // Its number stays taken until the promise has made its callback.
                Some(pending @ Expected::Pending(_)) => *pending = Expected::Abandoned,
                _ => drop(expected.try_remove(id)),
            }
        });
    }
}

/// What one isolate is at.
struct Isolate {
    tasks: RefCell<Slab<Task>>,
    expected: RefCell<Slab<Expected>>,
    /// Who is to be polled next.
    woken: RefCell<VecDeque<usize>>,
    is_running: Cell<bool>,
    /// What every promise calls: with the number it is expected under, whether it was fulfilled,
    /// and its value.
    ///
    /// It must capture nothing: after a panic a callback from before may still call it once in the new
    /// instance, where what it captured is not.
    settle: Closure<dyn Fn(u32, bool, JsValue)>,
}

type Work = Pin<Box<dyn Future<Output = JsValue>>>;

/// A future that was started.
enum Task {
    /// It has more to do. The work is away while it is polled; the promise is there once somebody
    /// waits for it.
    Open {
        work: Option<Work>,
        waker: Waker,
        promise: Option<JsValue>,
    },
    /// It has ended in the call that has started it.
    Done(JsValue),
}

/// A promise that somebody waits for.
enum Expected {
    Pending(Option<Waker>),
    Settled(Result<JsValue, JsValue>),
    /// Nobody waits any more.
    Abandoned,
}

/// Wakes a task by its number.
struct Number(usize);

impl Wake for Number {
    fn wake(self: Arc<Self>) {
        ISOLATE.with(|isolate| {
            isolate.woken.borrow_mut().push_back(self.0);
            isolate.run();
        });
    }
}

impl Isolate {
    fn new() -> Self {
        let settle = |id: u32, fulfilled: bool, value: JsValue| {
            let outcome = if fulfilled { Ok(value) } else { Err(value) };
            ISOLATE.with(|isolate| isolate.settle(id as usize, outcome));
        };
        Self {
            tasks: RefCell::default(),
            expected: RefCell::default(),
            woken: RefCell::default(),
            is_running: Cell::new(false),
            settle: Closure::new(settle),
        }
    }

    fn start(&self, work: Work) -> JsValue {
        let id = {
            let mut tasks = self.tasks.borrow_mut();
            let entry = tasks.vacant_entry();
            let id = entry.key();
            entry.insert(Task::Open {
                work: Some(work),
                waker: Waker::from(Arc::new(Number(id))),
                promise: None,
            });
            id
        };
        self.woken.borrow_mut().push_back(id);
        self.run();
        let mut tasks = self.tasks.borrow_mut();
        match tasks.get_mut(id) {
            Some(Task::Open { promise, .. }) => {
                let made = bridge::pending();
                let shown = bridge::promise_of(&made);
                *promise = Some(made);
                shown
            }
            _ => match tasks.try_remove(id) {
                Some(Task::Done(value)) => value,
                _ => JsValue::UNDEFINED,
            },
        }
    }

    fn expect(&self) -> usize {
        self.expected.borrow_mut().insert(Expected::Pending(None))
    }

    fn settle(&self, id: usize, outcome: Result<JsValue, JsValue>) {
        let mut expected = self.expected.borrow_mut();
        let Some(entry) = expected.get_mut(id) else {
            return;
        };
        if matches!(entry, Expected::Abandoned) {
            expected.remove(id);
            return;
        }
        let before = std::mem::replace(entry, Expected::Settled(outcome));
        drop(expected);
        if let Expected::Pending(Some(waker)) = before {
            waker.wake();
        }
    }

    /// Polls whoever is woken, until nobody is. Called from within a poll, it leaves that to the
    /// call that is under way.
    fn run(&self) {
        if self.is_running.replace(true) {
            return;
        }
        loop {
            let Some(id) = self.woken.borrow_mut().pop_front() else {
                break;
            };
            self.poll(id);
        }
        self.is_running.set(false);
    }

    fn poll(&self, id: usize) {
        let (mut work, waker) = {
            let mut tasks = self.tasks.borrow_mut();
            match tasks.get_mut(id) {
                Some(Task::Open { work, waker, .. }) => match work.take() {
                    Some(work) => (work, waker.clone()),
                    None => return,
                },
                _ => return,
            }
        };
        let polled = work.as_mut().poll(&mut Context::from_waker(&waker));
        let value = match polled {
            Poll::Ready(value) => {
                // What it held may reach for this table as it goes.
                drop(work);
                value
            }
            Poll::Pending => {
                if let Some(Task::Open { work: place, .. }) = self.tasks.borrow_mut().get_mut(id) {
                    *place = Some(work);
                }
                return;
            }
        };
        let mut tasks = self.tasks.borrow_mut();
        let Some(task) = tasks.get_mut(id) else {
            return;
        };
        if let Task::Open {
            promise: Some(promise),
            ..
        } = std::mem::replace(task, Task::Done(JsValue::UNDEFINED))
        {
            tasks.remove(id);
            drop(tasks);
            bridge::fulfil(&promise, &value);
        } else {
            *task = Task::Done(value);
        }
    }
}
