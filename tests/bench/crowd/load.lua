-- What `wrk` asks for, and what it found, as one line of JSON.
-- Arguments: RESULT PREFIX KEYS EACH LIMIT. Reads PREFIX0.bin, PREFIX1.bin … below the URL in order, KEYS
-- of them, each EACH times in a row; after LIMIT answers it stops, or where that is 0, when the time
-- is over.
local ffi = require("ffi")
ffi.cdef [[ int getpid(void); int kill(int process, int signal); ]]
local SIGINT = 2

-- `wrk` asks for one request to look at, and sends it nowhere.
local asked, answered = -1, 0
-- Globals of a thread can be read from `done`.
strange, thread_result = 0, nil

local threads = {}
function setup(thread) table.insert(threads, thread) end

function init(arguments)
  thread_result = arguments[1]
  local prefix, keys = wrk.path:gsub("/$", "") .. arguments[2], tonumber(arguments[3])
  local each, limit = tonumber(arguments[4]), tonumber(arguments[5])
  local requests = {}
  for key = 0, keys - 1 do requests[key] = wrk.format("GET", prefix .. key .. ".bin") end
  function request()
    local key = math.floor(math.max(asked, 0) / each)
    asked = asked + 1
    -- What is asked for between the last answer that counts and the stop is no new key.
    if limit > 0 and key >= keys then key = keys - 1 end
    return requests[key % keys]
  end
  if limit == 0 then return end
  function response(status)
    if status ~= 200 then strange = strange + 1 end
    answered = answered + 1
    if answered == limit then
      wrk.thread:stop()
      -- Otherwise `wrk` sleeps on to the end of its time.
      ffi.C.kill(ffi.C.getpid(), SIGINT)
    end
  end
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  for _, thread in ipairs(threads) do failed = failed + thread:get("strange") end
  local file = assert(io.open(threads[1]:get("thread_result"), "w"))
  file:write(string.format(
    '{"requests":%d,"bytes":%d,"seconds":%.6f,"failed":%d,"p50_us":%d,"p99_us":%d}\n',
    summary.requests, summary.bytes, summary.duration / 1e6, failed,
    latency:percentile(50), latency:percentile(99)))
  file:close()
end
