"""Backblaze's own in-memory model of the native B2 API, behind a loopback HTTP server.

The model is `RawSimulator` of `b2sdk`, private to that package, so its version is pinned where the
virtual environment is made. This file adds only what the model lacks: HTTP, ids shaped like the
real ones, the `s3` option of a bucket, names taken by another account, and faults on demand. The
calls it answers are those for accounts, buckets and keys; objects are the S3 origin's matter.

One line of JSON on stdout says where it listens. Control, on the same port:
  POST /control/faults {"next": N, "status": 503, "code": "...", "call": "b2_...", "retry_after": S}
  GET  /control/requests            {"calls": {"b2_create_key": N, ...}, "connections": N}: how often
                                    each call was made, and over how many connections
"""

import argparse
import base64
import hashlib
import itertools
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from b2sdk._internal import exception as b2
from b2sdk._internal.raw_simulator import BucketSimulator, KeySimulator, RawSimulator

CALLS = {
    "b2_list_buckets", "b2_create_bucket", "b2_update_bucket", "b2_delete_bucket",
    "b2_create_key", "b2_list_keys", "b2_delete_key",
}  # fmt: skip
ARGUMENT_NAMES = {
    "validDurationInSeconds": "valid_duration_seconds",
    "fileLockEnabled": "is_file_lock_enabled",
}
IGNORED_ARGUMENTS = {"bucketTypes"}


class S3Bucket(BucketSimulator):
    """A bucket as made today: usable over S3."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.options_set = {"s3"}


class Account(RawSimulator):
    """The model, with ids of the real shape and no cap on how many buckets."""

    BUCKET_SIMULATOR_CLASS = S3Bucket

    def __init__(self, account_id, master_key, created_keys):
        super().__init__()
        self.account_id = account_id
        self.bucket_id_counter = itertools.count(1)
        self.created_keys = created_keys
        self.key_id_to_key[account_id] = self._master(account_id, master_key)

    @staticmethod
    def _master(account_id, secret):
        from b2sdk._internal.raw_api import ALL_CAPABILITIES

        return KeySimulator(account_id, "master", account_id, secret, ALL_CAPABILITIES, None, None, None)

    def create_bucket(self, *args, **kwargs):
        made = super().create_bucket(*args, **kwargs)
        bucket = self.bucket_id_to_bucket.pop(made["bucketId"])
        bucket.bucket_id = hashlib.sha256(made["bucketName"].encode()).hexdigest()[:24]
        self.bucket_id_to_bucket[bucket.bucket_id] = bucket
        return dict(made, bucketId=bucket.bucket_id)

    def create_key(self, *args, **kwargs):
        made = super().create_key(*args, **kwargs)
        key = self.key_id_to_key.pop(made["applicationKeyId"])
        number = self.app_key_counter
        if self.created_keys:
            key.application_key_id, key.key = self.created_keys.pop(0)
        else:
            key.application_key_id = f"001{self.account_id}{number:010d}"
            digest = hashlib.sha256(key.application_key_id.encode()).digest()
            key.key = "K001" + base64.b64encode(digest).decode()[:27]
        self.key_id_to_key[key.application_key_id] = key
        return key.as_created_key()

    def list_buckets(self, api_url, token, account_id, **kwargs):
        """The model shows every account's buckets; the service only the caller's."""
        found = super().list_buckets(api_url, token, account_id, **kwargs)
        return {"buckets": [b for b in found["buckets"] if b["accountId"] == account_id]}

    def take_bucket_name(self, name):
        """Another account has this name: names are global."""
        other = "0" * 12
        self.key_id_to_key[other] = self._master(other, "another-accounts-key")
        token = self.authorize_account("", other, "another-accounts-key")["authorizationToken"]
        self.create_bucket(self.API_URL, token, other, name, "allPrivate")
        del self.key_id_to_key[other]


def status_and_code(error):
    """The service's answer for an exception of the model, per its documentation."""
    if isinstance(error, (b2.InvalidAuthToken, b2.Unauthorized)):
        return 401, error.code or "unauthorized"
    if isinstance(error, b2.DuplicateBucketName):
        return 400, "duplicate_bucket_name"
    if isinstance(error, b2.NonExistentBucket):
        return 400, "bad_bucket_id"
    if isinstance(error, b2.Conflict):
        return 409, "conflict"
    if isinstance(error, b2.BadJson):
        return 400, "bad_json"
    return 400, "bad_request"


def snake_case(name):
    return ARGUMENT_NAMES.get(name) or re.sub("[A-Z]", lambda m: "_" + m.group().lower(), name)


class State:
    def __init__(self, account):
        self.account = account
        self.lock = threading.Lock()
        self.faults = []
        self.calls = {}
        self.connections = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "b2sim"

    carried_a_call = False

    def log_message(self, *_):
        """Requests carry keys: none is logged."""

    def answer(self, status, body, headers=()):
        text = json.dumps(body, default=sorted).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json;charset=UTF-8")
        self.send_header("Content-Length", str(len(text)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def fail(self, status, code, message, headers=()):
        self.answer(status, {"status": status, "code": code, "message": message}, headers)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_GET(self):
        state = self.server.state
        if self.path == "/control/requests":
            with state.lock:
                return self.answer(200, {"calls": state.calls, "connections": state.connections})
        self.call(b"")

    def do_POST(self):
        body, state = self.body(), self.server.state
        if self.path == "/control/faults":
            with state.lock:
                state.faults.append(json.loads(body))
            return self.answer(200, {})
        self.call(body)

    def call(self, body):
        version, _, name = self.path.removeprefix("/b2api/").partition("/")
        name = name.partition("?")[0]
        if version != "v4" or name not in CALLS | {"b2_authorize_account"}:
            return self.fail(404, "not_found", f"no such call: {self.path}")
        state = self.server.state
        with state.lock:
            state.calls[name] = state.calls.get(name, 0) + 1
            state.connections += not self.carried_a_call
            self.carried_a_call = True
            for fault in state.faults:
                if fault["next"] > 0 and fault.get("call", name) == name:
                    fault["next"] -= 1
                    after = fault.get("retry_after")
                    headers = [] if after is None else [("Retry-After", str(after))]
                    return self.fail(fault["status"], fault["code"], "as asked for", headers)
            try:
                result = self.perform(state.account, name, body)
            except (b2.B2Error, AssertionError, TypeError, ValueError, StopIteration) as error:
                status, code = status_and_code(error)
                return self.fail(status, code, str(error) or code)
            self.answer(200, result)

    def perform(self, account, name, body):
        authorization = self.headers.get("Authorization", "")
        if name == "b2_authorize_account":
            pair = base64.b64decode(authorization.removeprefix("Basic ")).decode()
            key_id, _, key = pair.partition(":")
            return account.authorize_account("", key_id, key)
        if authorization not in account.auth_token_to_key:
            raise b2.InvalidAuthToken("Invalid authorization token", "bad_auth_token")
        arguments = {
            snake_case(k): v for k, v in json.loads(body or b"{}").items() if k not in IGNORED_ARGUMENTS
        }
        if name == "b2_list_keys" and arguments.get("max_key_count") is None:
            arguments["max_key_count"] = 100
        if name == "b2_create_key":
            for optional in ("valid_duration_seconds", "bucket_ids", "name_prefix"):
                arguments.setdefault(optional, None)
        call = getattr(account, name.removeprefix("b2_"))
        return call(account.API_URL, authorization, **arguments)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--account-id", default="61f959a5f87b", help="12 hex digits; also the master key's id")
    parser.add_argument("--master-key", default="0010d0c3a6d24d9bb0e9f93ecbc4ca1d2a8f8c1111")
    parser.add_argument("--created-key", action="append", default=[], metavar="ID=SECRET",
                        help="what the next key made will be (repeatable)")  # fmt: skip
    parser.add_argument("--taken", action="append", default=[], metavar="NAME",
                        help="a bucket name of another account (repeatable)")  # fmt: skip
    parser.add_argument("--s3-url", default="https://s3.us-west-004.backblazeb2.com")
    options = parser.parse_args()

    created = [tuple(pair.split("=", 1)) for pair in options.created_key]
    account = Account(options.account_id, options.master_key, created)
    for name in options.taken:
        account.take_bucket_name(name)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.state = State(account)
    url = f"http://127.0.0.1:{server.server_address[1]}"
    account.API_URL = account.DOWNLOAD_URL = url
    account.S3_API_URL = options.s3_url
    print(json.dumps({"url": url}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
