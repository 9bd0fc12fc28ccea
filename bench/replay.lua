-- wrk's script: replays the requests of a file, and prints what came of it as one line of JSON.
-- Arguments: the file, how many threads there are, whether each has requests of its own ("own"),
-- where to begin, and whether to look at every answer ("strict"), which costs time; wrk itself
-- counts what is 400 or more. A record of the file is its length, a line feed, and the bytes of a request.

local threads = {}

function setup(thread)
  thread:set("number", #threads)
  threads[#threads + 1] = thread
end

local function read_requests(path)
  local file, all = assert(io.open(path, "rb")), {}
  while true do
    local size = file:read("*n")
    if not size then break end
    file:read(1)
    all[#all + 1] = file:read(size)
  end
  file:close()
  return all
end

function init(args)
  local count, own, start = tonumber(args[2]), args[3] == "own", tonumber(args[4])
  local all = read_requests(args[1])
  local share = math.max(1, math.floor(#all / count))
  if own then
    requests, position = {}, 0
    for i = 1, share do requests[i] = all[number * share + i] end
  else
    requests, position = all, (number * share + start) % #all
  end
  -- wrk looks at the first thread's first request, and does not send it.
  if number == 0 then position = position - 1 end
  wrong = 0
  if args[5] == "strict" then
    function response(status)
      if status < 200 or status > 299 then wrong = wrong + 1 end
    end
  end
end

function request()
  position = position + 1
  if position < 1 then return requests[1] end
  if position > #requests then position = 1 end
  return requests[position]
end

function done(summary, latency)
  local e, strange = summary.errors, 0
  for _, thread in ipairs(threads) do strange = strange + thread:get("wrong") end
  io.write(string.format(
    '{"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "status": %d, "broken": %d, "strange": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.status, e.connect + e.read + e.write + e.timeout, strange))
end
