//! What one isolate keeps between requests: valid settings and the table of fills.

use crate::bridge::{self, Env};
use crate::engine::fills::Fills;
use crate::settings::{self, RawSettings, Settings};
use std::cell::OnceCell;
use std::rc::Rc;
use wasm_bindgen::JsValue;

/// Turns the hooks on that only tests use: see [`Site::test_hooks`].
const TEST_HOOKS: &str = "TEST_HOOKS";

/// The header that asks for one of them.
const TEST_HEADER: &str = "x-medialift-test";

thread_local! {
    static SITE: OnceCell<Option<Rc<Site>>> = const { OnceCell::new() };
}

/// One isolate's state.
#[derive(Debug)]
pub struct Site {
    /// The settings.
    pub settings: Rc<Settings>,
    /// The same for paths that are keys already: nothing to strip, to add or to deny.
    pub canonical: Settings,
    /// The fills under way in this isolate.
    pub fills: Fills,
    /// The headers that are looked at of a GET or HEAD, in the order of [`crate::gateway::Asked`].
    pub read_headers: js_sys::Array,
    /// The one that is looked at of any other request.
    pub secret_header: js_sys::JsString,
    /// Whether a request may ask for a panic: only where `TEST_HOOKS` is `on`.
    pub test_hooks: bool,
}

impl Site {
    /// This isolate's state, made at the first call. `None` where the settings are faulty: the log
    /// has every fault by then, once per isolate.
    #[must_use]
    pub fn of(env: &Env) -> Option<Rc<Self>> {
        SITE.with(|site| site.get_or_init(|| Self::make(env).map(Rc::new)).clone())
    }

    fn make(env: &Env) -> Option<Self> {
        let text = |name: &str| {
            js_sys::Reflect::get(env, &JsValue::from_str(name))
                .ok()?
                .as_string()
        };
        let settings = match Settings::parse(&RawSettings::collect(text)) {
            Ok(settings) => Rc::new(settings),
            Err(faults) => {
                bridge::log_error(&settings::describe(&faults));
                return None;
            }
        };
        let test_hooks = text(TEST_HOOKS).as_deref() == Some("on");
        let secret_header = settings
            .purge
            .as_ref()
            .map_or("x-medialift-purge", |purge| &purge.header)
            .into();
        let mut read_headers = vec![
            "range",
            "if-range",
            "if-none-match",
            "if-modified-since",
            "if-match",
            "if-unmodified-since",
        ];
        if test_hooks {
            read_headers.push(TEST_HEADER);
        }
        let canonical = Settings {
            key_prefix: String::new(),
            strip_prefix: None,
            deny_prefixes: Vec::new(),
            ..(*settings).clone()
        };
        Some(Self {
            settings,
            canonical,
            fills: Fills::default(),
            read_headers: read_headers.into_iter().map(JsValue::from_str).collect(),
            secret_header,
            test_hooks,
        })
    }
}
