//! What the end-to-end tests share.

pub mod b2sim;
pub mod browser;
pub mod client;
pub mod clients;
pub mod cloudflare;
pub mod compare;
pub mod edge;
pub mod host;
pub mod mastodon;
pub mod media;
pub mod medialift;
pub mod migration;
pub mod mounts;
pub mod own_nginx;
pub mod platform;
pub mod script;
pub mod scripted;
pub mod seaweed;
pub mod stand_ins;
pub mod tls;
