//! A single thread with a simulated clock that polls tasks in random order.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

type Work = Pin<Box<dyn Future<Output = ()>>>;

/// A task's number.
pub(crate) type TaskId = usize;

#[derive(Default)]
struct Tasks {
    work: Vec<Option<Work>>,
    spawned: Vec<(TaskId, Work)>,
}

/// The clock, the timers and the tasks of one schedule. Clones share them.
#[derive(Clone)]
pub(crate) struct Executor {
    now: Rc<RefCell<u64>>,
    timers: Rc<RefCell<Vec<(u64, Waker)>>>,
    tasks: Rc<RefCell<Tasks>>,
    woken: Arc<Mutex<Vec<TaskId>>>,
    random: Rc<RefCell<fastrand::Rng>>,
    running: Rc<Cell<Option<TaskId>>>,
}

struct TaskWaker {
    id: TaskId,
    woken: Arc<Mutex<Vec<TaskId>>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        let mut woken = self.woken.lock().expect("not poisoned");
        if !woken.contains(&self.id) {
            woken.push(self.id);
        }
    }
}

impl Executor {
    pub(crate) fn new(seed: u64, start: u64) -> Self {
        Self {
            now: Rc::new(RefCell::new(start)),
            timers: Rc::default(),
            tasks: Rc::default(),
            woken: Arc::default(),
            random: Rc::new(RefCell::new(fastrand::Rng::with_seed(seed))),
            running: Rc::default(),
        }
    }

    /// The task that is being polled.
    pub(crate) fn running(&self) -> Option<TaskId> {
        self.running.get()
    }

    /// Milliseconds since the epoch.
    pub(crate) fn now(&self) -> u64 {
        *self.now.borrow()
    }

    /// A random number below `end`.
    pub(crate) fn below(&self, end: u64) -> u64 {
        self.random.borrow_mut().u64(..end)
    }

    /// True once in `times`.
    pub(crate) fn once_in(&self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Starts a task. A task may call it.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + 'static) -> TaskId {
        let mut tasks = self.tasks.borrow_mut();
        let id = tasks.work.len();
        tasks.work.push(None);
        tasks.spawned.push((id, Box::pin(work)));
        self.woken.lock().expect("not poisoned").push(id);
        id
    }

    /// Drops a task, as when its client leaves.
    pub(crate) fn cancel(&self, id: TaskId) {
        let work = self.take(id);
        drop(work);
    }

    /// Never polls a task again and never drops it, as a runtime does that ends a request.
    pub(crate) fn abandon(&self, id: TaskId) {
        std::mem::forget(self.take(id));
    }

    fn take(&self, id: TaskId) -> Option<Work> {
        let mut tasks = self.tasks.borrow_mut();
        let spawned = tasks.spawned.iter().position(|(other, _)| *other == id);
        match spawned {
            Some(at) => Some(tasks.spawned.swap_remove(at).1),
            None => tasks.work.get_mut(id).and_then(Option::take),
        }
    }

    /// Whether a task has not ended.
    pub(crate) fn is_alive(&self, id: TaskId) -> bool {
        let tasks = self.tasks.borrow();
        tasks.work.get(id).is_some_and(Option::is_some)
            || tasks.spawned.iter().any(|(other, _)| *other == id)
    }

    /// Waits on the simulated clock.
    pub(crate) fn sleep(&self, milliseconds: u64) -> impl Future<Output = ()> + use<> {
        let this = self.clone();
        let end = self.now() + milliseconds;
        let mut registered = false;
        std::future::poll_fn(move |context| {
            if this.now() >= end {
                return Poll::Ready(());
            }
            if !registered {
                registered = true;
                this.timers
                    .borrow_mut()
                    .push((end, context.waker().clone()));
            }
            Poll::Pending
        })
    }

    /// Waits for a random time, often none, so that other tasks can run in between.
    pub(crate) async fn pause_up_to(&self, longest: u64) {
        if !self.once_in(3) {
            let time = self.below(longest + 1);
            self.sleep(time).await;
        }
    }

    /// Runs until every task has ended or can never go on.
    pub(crate) fn run(&self) {
        self.run_until(u64::MAX);
    }

    /// Runs until the clock reaches `end`.
    pub(crate) fn run_until(&self, end: u64) {
        loop {
            self.poll_woken();
            let next = self.timers.borrow().iter().map(|(time, _)| *time).min();
            match next {
                Some(time) if time <= end => self.advance_to(time),
                _ => break,
            }
        }
        if end != u64::MAX && self.now() < end {
            *self.now.borrow_mut() = end;
        }
    }

    fn advance_to(&self, time: u64) {
        {
            let mut now = self.now.borrow_mut();
            *now = time.max(*now);
        }
        let now = self.now();
        let due = |timer: &mut (u64, Waker)| timer.0 <= now;
        let due: Vec<_> = self.timers.borrow_mut().extract_if(.., due).collect();
        for (_, waker) in due {
            waker.wake();
        }
    }

    fn poll_woken(&self) {
        loop {
            let spawned = std::mem::take(&mut self.tasks.borrow_mut().spawned);
            for (id, work) in spawned {
                self.tasks.borrow_mut().work[id] = Some(work);
            }
            let id = {
                let mut woken = self.woken.lock().expect("not poisoned");
                if woken.is_empty() {
                    return;
                }
                let at = self.random.borrow_mut().usize(..woken.len());
                woken.swap_remove(at)
            };
            let Some(mut work) = self.tasks.borrow_mut().work[id].take() else {
                continue;
            };
            let waker = Waker::from(Arc::new(TaskWaker {
                id,
                woken: self.woken.clone(),
            }));
            self.running.set(Some(id));
            let polled = work.as_mut().poll(&mut Context::from_waker(&waker));
            self.running.set(None);
            if polled.is_pending() {
                self.tasks.borrow_mut().work[id] = Some(work);
            }
        }
    }
}
