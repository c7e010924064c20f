# A shared cache between the gateway and the media entry that follows RFC 9111 and RFC 5861, by
# software that other people wrote. Nothing here repeats a rule of the worker: how long an answer is
# fresh, and for how long it may be served while it is refreshed, Varnish reads itself in
# `Cache-Control`. It knows no `stale-if-error`; that directive, and the words of `Cf-Cache-Status`,
# are what this file adds.
#
# The time that an object may be kept for errors is its grace, and a request without an error accepts
# no more grace than `stale-while-revalidate` allows.
vcl 4.1;

import std;

backend media {
    .host = "127.0.0.1";
    .port = "MEDIA_PORT";
    .first_byte_timeout = 100s;
    .between_bytes_timeout = 100s;
}

sub vcl_recv {
    if (req.method == "BAN") {
        # The stand-in of a purge by tag, or of everything.
        if (req.http.Cache-Tag) {
            std.ban("obj.http.Cache-Tag == " + req.http.Cache-Tag);
        } else {
            std.ban("obj.status != 0");
        }
        return (synth(200));
    }
    if (req.http.X-Accepts-Stale) {
        set req.grace = 365d;
    } elsif (req.http.X-Found-Expired) {
        set req.grace = 0s;
    }
    return (hash);
}

sub vcl_hit {
    if (obj.ttl >= 0s) {
        set req.http.X-State = "HIT";
    } elsif (req.http.X-Accepts-Stale) {
        set req.http.X-State = "STALE";
    } elsif (obj.ttl + std.duration(obj.http.X-Stale-While-Revalidate + "s", 0s) > 0s) {
        set req.http.X-State = "UPDATING";
    } else {
        # Good for an error only: looked up again, and fetched.
        set req.http.X-Found-Expired = "true";
        return (restart);
    }
    return (deliver);
}

sub vcl_miss {
    set req.http.X-State = "MISS";
    if (req.http.X-Accepts-Stale) {
        # It was removed in the meantime.
        return (synth(503));
    }
    return (fetch);
}

sub vcl_backend_fetch {
    # A stale copy that covers an error is not refreshed: the origin was asked just now.
    if (bereq.is_bgfetch && bereq.http.X-Accepts-Stale) {
        return (abandon);
    }
}

sub vcl_backend_response {
    if (beresp.status >= 500 && (bereq.is_bgfetch || bereq.http.X-Found-Expired)) {
        return (abandon);
    }
    set beresp.http.X-Stale-While-Revalidate = beresp.grace;
    if (beresp.http.Cache-Control ~ "stale-if-error=[0-9]+") {
        set beresp.grace = std.duration(
            regsub(beresp.http.Cache-Control, "^.*stale-if-error=([0-9]+).*$", "\1s"), 0s);
        if (beresp.grace < std.duration(beresp.http.X-Stale-While-Revalidate + "s", 0s)) {
            set beresp.grace = std.duration(beresp.http.X-Stale-While-Revalidate + "s", 0s);
        }
    }
    unset beresp.http.X-Confirmed;
    if (beresp.was_304) {
        set beresp.http.X-Confirmed = "true";
    }
}

sub vcl_backend_error {
    if (bereq.is_bgfetch || bereq.http.X-Found-Expired) {
        return (abandon);
    }
}

# A fetch that was abandoned ends here.
sub vcl_synth {
    if (req.http.X-Found-Expired && !req.http.X-Accepts-Stale) {
        set req.http.X-Accepts-Stale = "true";
        return (restart);
    }
}

sub vcl_deliver {
    if (req.http.X-State == "MISS") {
        if (obj.uncacheable) {
            set req.http.X-State = "BYPASS";
        } elsif (resp.http.X-Confirmed) {
            set req.http.X-State = "REVALIDATED";
        } elsif (req.http.X-Found-Expired) {
            set req.http.X-State = "EXPIRED";
        }
        if (resp.http.Age == "0" && req.http.X-State != "REVALIDATED" && req.http.X-State != "EXPIRED") {
            # Not from the cache, and not from one behind it.
            unset resp.http.Age;
        }
    }
    set resp.http.Cf-Cache-Status = req.http.X-State;
    unset resp.http.X-Stale-While-Revalidate;
    unset resp.http.X-Confirmed;
    unset resp.http.X-Varnish;
    unset resp.http.Via;
}
