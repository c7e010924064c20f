//! The parser and writer of `.env.production`, compared with the `dotenv` gem.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use ::medialift::dotenv::Document;
use ::medialift::dotenv::values::{Environment, Gem, Value, read};
use anyhow::{Context as _, Result, ensure};
use e2e::medialift;
use serde_json::Value as Json;
use testkit::setup::{self, Need};

/// Reads each file with the gem and prints a list: an object of variables each, `null` where the gem
/// raises. Nothing of the test's own environment counts.
const READ_ALL: &str = r#"
require "json"
require "dotenv"
files = ARGV.map { |path| File.open(path, "rb:bom|utf-8", &:read) }
ENV.clear
puts JSON.generate(files.map { |text|
  begin
    Dotenv::Parser.call(text)
  rescue SyntaxError, ArgumentError
    nil
  end
})
"#;

/// The variables of each file by the gem; none where it raises.
fn by_the_gem(paths: &[std::path::PathBuf]) -> Result<Vec<Option<BTreeMap<String, String>>>> {
    let output = Command::new(setup::place(Need::Ruby)?)
        .args(["-e", READ_ALL])
        .args(paths)
        .output()
        .context("cannot run `ruby`")?;
    ensure!(
        output.status.success(),
        "ruby: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let files: Vec<Json> = serde_json::from_slice(&output.stdout)?;
    files
        .into_iter()
        .map(|file| match file {
            Json::Null => Ok(None),
            variables => Ok(Some(serde_json::from_value(variables)?)),
        })
        .collect()
}

/// Files for the corner cases of the grammar, the same ones in each run.
fn likely_files(count: usize) -> Vec<String> {
    const TOKENS: [&str; 24] = [
        "A",
        "B",
        "S3_BUCKET",
        "export ",
        "=",
        "=",
        "=",
        ": ",
        "'",
        "\"",
        "\\",
        "#",
        " ",
        "\n",
        "\n",
        "\n",
        "\r\n",
        "\t",
        "$",
        "$A",
        "${B}",
        "x",
        "é",
        "\\n",
    ];
    let mut random = fastrand::Rng::with_seed(14);
    (0..count)
        .map(|_| {
            let length = random.usize(1..40);
            (0..length)
                .map(|_| TOKENS[random.usize(..TOKENS.len())])
                .collect()
        })
        .collect()
}

fn written(directory: &Path, files: &[String]) -> Result<Vec<std::path::PathBuf>> {
    let write = |(number, text): (usize, &String)| {
        let path = directory.join(format!("{number}.env"));
        fs::write(&path, text)?;
        Ok(path)
    };
    files.iter().enumerate().map(write).collect()
}

#[test]
fn a_file_is_read_as_the_gem_reads_it() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let files = likely_files(2_000);
    let paths = written(directory.path(), &files)?;
    let nothing_else = Environment {
        complete: true,
        ..Environment::default()
    };
    let mut compared = 0;
    for (text, expected) in files.iter().zip(by_the_gem(&paths)?) {
        let found = read(&Document::parse(text.as_bytes()), Gem::V2_4, &nothing_else);
        let found = found.ok().map(|values| {
            let known = |(key, value)| match value {
                Value::Known(text) => Some((key, text)),
                Value::Unresolved(_) => None,
            };
            values
                .into_iter()
                .filter_map(known)
                .collect::<BTreeMap<_, _>>()
        });
        assert_eq!(found, expected, "{text:?}");
        compared += usize::from(expected.is_some_and(|values| !values.is_empty()));
    }
    assert!(compared > 200, "only {compared} files set anything");
    Ok(())
}

const KEY: &str = "K001abcdefghijklmnopqrstuvwxyz1";

fn switch(directory: &Path, permission: &str) -> Result<medialift::Ran> {
    let mut command = medialift::command(directory)?;
    command
        .args(["env", "--visibility", permission])
        .args(["--files-url", "https://files.example.com"])
        .args(["--bucket", "my-instance-media"])
        .args(["--endpoint", "s3.us-west-004.backblazeb2.com"])
        .env("B2_APPLICATION_KEY_ID", "00161f959a5f87b0000000005")
        .env("B2_APPLICATION_KEY", KEY)
        .env("PURGE_SECRET", "it's $HOME # \"here\"");
    medialift::run(&mut command)
}

/// Each of these is switched to the bucket; what the gem reads then is what was to be set, and all
/// else is as before.
#[test]
fn what_is_written_is_what_the_gem_reads() -> Result<()> {
    for before in [
        "LOCAL_DOMAIN=social.example\n",
        "\u{feff}S3_ENABLED=false\r\nLOCAL_DOMAIN=social.example",
        "export S3_ENABLED=true\nexport S3_PERMISSION=public-read # why\nDB_PASS='p # q'\n",
        "S3_PERMISSION=public-read\n\"--- mail ---\"\nSMTP_SERVER=mail\n",
        "S3_PERMISSION='private' # x\nS3_BUCKET = old\nS3_REGION: x\n",
        "S3_BUCKET=a\n# later\nS3_BUCKET=b\nS3_BUCKET=\"c\"\nSITE=Ann's site\n",
        "NAME=my-instance\nS3_BUCKET=${NAME}-media\nSMTP_PASSWORD=\"a\\\\\"\n",
        "AWS_SECRET_ACCESS_KEY=K001ab#cd\nCACHE_BUSTER_SECRET=old#one\n",
    ] {
        for (visibility, permission) in [("public", ""), ("private", "private")] {
            let directory = tempfile::tempdir()?;
            let path = directory.path().join(".env.production");
            fs::write(&path, before)?;
            let old = by_the_gem(std::slice::from_ref(&path))?
                .remove(0)
                .expect("variables");
            switch(directory.path(), visibility)?.expect(0);
            let new = by_the_gem(&[path])?.remove(0).expect("variables");
            for (key, value) in [
                ("S3_ENABLED", "true"),
                ("S3_BUCKET", "my-instance-media"),
                ("S3_REGION", "us-west-004"),
                ("S3_ENDPOINT", "https://s3.us-west-004.backblazeb2.com"),
                ("S3_PERMISSION", permission),
                ("AWS_SECRET_ACCESS_KEY", KEY),
                ("CACHE_BUSTER_SECRET", "it's $HOME # \"here\""),
            ] {
                assert_eq!(
                    new.get(key).map(String::as_str),
                    Some(value),
                    "{key} in {before:?}"
                );
            }
            for (key, value) in &old {
                let of_media = ["S3_", "AWS_", "CACHE_BUSTER_"]
                    .iter()
                    .any(|f| key.starts_with(f));
                assert!(
                    of_media || new.get(key) == Some(value),
                    "{key} in {before:?}"
                );
            }
        }
    }
    Ok(())
}
