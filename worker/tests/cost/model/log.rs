//! The request log: who asks for what, when and from where. Drawn by lot from a seed, so that the
//! same seed is the same log.
//!
//! Two kinds of reads, for a Mastodon server has both: of an archive that is as old as the server,
//! where the popular are read again and again (Zipf), and of what is posted while the log runs,
//! which thousands of servers fetch within seconds.

use fastrand::Rng;

/// Bytes of a browser's request for a part of a video.
const PART: u64 = 1_000_000;

/// Objects from this size on are videos, read by range.
const VIDEO: u64 = 2_000_000;

/// What kind of log to draw.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// What the lot is drawn from.
    pub(crate) seed: u64,
    /// Reads in it.
    pub(crate) reads: usize,
    /// Days that it covers.
    pub(crate) days: u64,
    /// Objects that are there from the start.
    pub(crate) archive: u32,
    /// Objects that are posted while it runs.
    pub(crate) posts: u32,
    /// Names that are asked for and are not in the bucket.
    pub(crate) missing: u32,
    /// Exponent of Zipf's law over each of these.
    pub(crate) exponent: f64,
    /// Of all reads, those of new posts.
    pub(crate) of_posts: f64,
    /// Of all reads, those of missing names.
    pub(crate) of_missing: f64,
    /// Of the reads of a picture, those by a reader who has it and only asks whether it still holds.
    pub(crate) conditional: f64,
    /// Of the reads of a video, those of a part.
    pub(crate) parts: f64,
    /// Places with readers; the second has half as many as the first, the third a third.
    pub(crate) places: u8,
}

impl Shape {
    /// A month of a server of middling size.
    #[must_use]
    pub(crate) const fn month(seed: u64, reads: usize) -> Self {
        Self {
            seed,
            reads,
            days: 30,
            archive: 100_000,
            posts: 4_000,
            missing: 500,
            exponent: 0.9,
            of_posts: 0.4,
            of_missing: 0.005,
            conditional: 0.1,
            parts: 0.7,
            places: 10,
        }
    }
}

/// What is asked of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// All of it.
    Whole,
    /// These bytes, the last one included.
    Part(u64, u64),
    /// Whether the copy that the reader has still holds; it does.
    Confirmation,
}

/// One read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Milliseconds since the log began.
    pub(crate) at: u64,
    /// The object's number.
    pub(crate) object: u32,
    /// The place that the reader is near to.
    pub(crate) place: u8,
    /// What of it.
    pub(crate) want: Want,
}

/// A log, in the order of time, and the objects that it is about.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    /// Its reads.
    pub(crate) requests: Vec<Request>,
    /// Bytes of each object; `None` for a name that is not in the bucket.
    pub(crate) sizes: Vec<Option<u64>>,
    /// Days that it covers.
    pub(crate) days: u64,
    /// Places with readers.
    pub(crate) places: u8,
}

impl Request {
    /// Bytes of the object that go to the reader.
    #[must_use]
    pub(crate) fn bytes(&self, size: u64) -> u64 {
        match self.want {
            Want::Whole => size,
            Want::Part(first, last) => last - first + 1,
            Want::Confirmation => 0,
        }
    }
}

/// Draws a log.
#[must_use]
pub(crate) fn make(shape: &Shape) -> Log {
    let mut random = Rng::with_seed(shape.seed);
    let end = shape.days * 24 * 60 * 60 * 1000;
    let mut sizes: Vec<Option<u64>> = (0..shape.archive + shape.posts)
        .map(|_| Some(size(&mut random)))
        .collect();
    sizes.extend((0..shape.missing).map(|_| None));
    let posted: Vec<u64> = (0..shape.posts).map(|_| random.u64(..end)).collect();
    let archive = Zipf::new(shape.archive, shape.exponent);
    let posts = Zipf::new(shape.posts, shape.exponent);
    let missing = Zipf::new(shape.missing, shape.exponent);
    let places = Zipf::new(u32::from(shape.places), 1.0);
    let mut requests = Vec::with_capacity(shape.reads);
    while requests.len() < shape.reads {
        let kind = random.f64();
        let (object, at) = if kind < shape.of_missing {
            let object = shape.archive + shape.posts + missing.draw(&mut random);
            (object, moment(&mut random, end))
        } else if kind < shape.of_missing + shape.of_posts {
            let post = posts.draw(&mut random);
            let at = posted[post as usize] + age(&mut random);
            (shape.archive + post, at)
        } else {
            (archive.draw(&mut random), moment(&mut random, end))
        };
        if at < end {
            requests.push(Request {
                at,
                object,
                place: u8::try_from(places.draw(&mut random)).unwrap_or(0),
                want: want(&mut random, shape, sizes[object as usize]),
            });
        }
    }
    requests.sort_by_key(|request| request.at);
    Log {
        requests,
        sizes,
        days: shape.days,
        places: shape.places,
    }
}

/// Seven in ten are thumbnails and avatars, one in twenty is a video; even on a logarithmic scale.
fn size(random: &mut Rng) -> u64 {
    let (low, high): (f64, f64) = match random.u8(..20) {
        0..14 => (20_000.0, 200_000.0),
        14..19 => (200_000.0, 2_000_000.0),
        _ => (2_000_000.0, 40_000_000.0),
    };
    (low * (high / low).powf(random.f64())) as u64
}

/// A moment of the archive's reads: by day three times as many as by night.
fn moment(random: &mut Rng, end: u64) -> u64 {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    loop {
        let at = random.u64(..end);
        let turn = (at % DAY) as f64 / DAY as f64 * std::f64::consts::TAU;
        if random.f64() < (2.0 + turn.sin()) / 3.0 {
            return at;
        }
    }
}

/// How old a post is when it is read, in milliseconds: half its readers come within 30 seconds, for
/// the other half interest fades, by a factor of e each day.
fn age(random: &mut Rng) -> u64 {
    if random.bool() {
        return random.u64(..30_000);
    }
    (-(1.0 - random.f64()).ln() * 86_400_000.0) as u64
}

fn want(random: &mut Rng, shape: &Shape, size: Option<u64>) -> Want {
    match size {
        Some(size) if size >= VIDEO && random.f64() < shape.parts => {
            let parts = size.div_ceil(PART);
            let first = random.u64(..parts) * PART;
            Want::Part(first, (first + PART).min(size) - 1)
        }
        Some(size) if size < VIDEO && random.f64() < shape.conditional => Want::Confirmation,
        _ => Want::Whole,
    }
}

/// Zipf's law: the n-th most popular is asked for in proportion to `n` to the power of minus the
/// exponent.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(number: u32, exponent: f64) -> Self {
        let mut sum = 0.0;
        let sums = (1..=number).map(|rank| {
            sum += f64::from(rank).powf(-exponent);
            sum
        });
        Self(sums.collect())
    }

    fn draw(&self, random: &mut Rng) -> u32 {
        let Some(all) = self.0.last() else { return 0 };
        let at = random.f64() * all;
        let rank = self.0.partition_point(|sum| *sum <= at);
        u32::try_from(rank.min(self.0.len() - 1)).unwrap_or(0)
    }
}
