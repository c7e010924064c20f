//! A bucket's listing as one stream in key order, with one page read ahead.

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::client::Client;
use super::error::S3Result;
use super::list::{ListRequest, ListedObject};

/// The objects of a bucket, one after the other. Dropping it ends its requests.
#[derive(Debug)]
pub struct Listing {
    pages: mpsc::Receiver<S3Result<Vec<ListedObject>>>,
    page: std::vec::IntoIter<ListedObject>,
    reader: JoinHandle<()>,
    ended: bool,
}

impl Listing {
    /// Lists the keys that begin with the target's prefix.
    pub fn begin(client: &Client) -> Self {
        let (sender, pages) = mpsc::channel(1);
        let client = client.clone();
        let reader = tokio::spawn(async move {
            let mut request = ListRequest {
                prefix: client.target().key_prefix.clone(),
                ..ListRequest::default()
            };
            loop {
                let outcome = client.list(&request).await;
                let next = match &outcome {
                    Ok(page) => page.next.clone(),
                    Err(_) => None,
                };
                let page = outcome.map(|page| page.objects);
                if sender.send(page).await.is_err() || next.is_none() {
                    return;
                }
                request.continuation_token = next;
            }
        });
        Listing {
            pages,
            page: Vec::new().into_iter(),
            reader,
            ended: false,
        }
    }

    /// As [`Listing::begin`], for a service that does not list in key order: the whole listing is held
    /// in memory and sorted.
    pub fn begin_sorted(client: &Client) -> Self {
        let mut unsorted = Listing::begin(client);
        let (sender, pages) = mpsc::channel(1);
        let reader = tokio::spawn(async move {
            let mut all = Vec::new();
            let outcome = loop {
                match unsorted.next().await {
                    Ok(Some(object)) => all.push(object),
                    Ok(None) => {
                        all.sort_unstable_by(|a, b| a.key.cmp(&b.key));
                        break Ok(all);
                    }
                    Err(e) => break Err(e),
                }
            };
            let _ = sender.send(outcome).await;
        });
        Listing {
            pages,
            page: Vec::new().into_iter(),
            reader,
            ended: false,
        }
    }

    /// The next object, or `None` at the end.
    pub async fn next(&mut self) -> S3Result<Option<ListedObject>> {
        loop {
            if let Some(object) = self.page.next() {
                return Ok(Some(object));
            }
            match self.pages.recv().await {
                None => {
                    // A reader that panicked must not be taken for the end of the listing.
                    if !self.ended
                        && let Err(e) = (&mut self.reader).await
                        && e.is_panic()
                    {
                        std::panic::resume_unwind(e.into_panic());
                    }
                    self.ended = true;
                    return Ok(None);
                }
                Some(Err(e)) => return Err(e),
                Some(Ok(page)) => self.page = page.into_iter(),
            }
        }
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.reader.abort();
    }
}
