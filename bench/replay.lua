-- wrk's script: replays the requests of a file, and prints what came of it as one line of JSON.
-- Arguments: the file, how many threads there are, whether each has requests of its own, and
-- where to begin. A record of the file is its length, a line feed, and the bytes of a request.

local counter = 0

function setup(thread)
  thread:set("number", counter)
  counter = counter + 1
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
  local threads, own, start = tonumber(args[2]), args[3] == "own", tonumber(args[4])
  local all = read_requests(args[1])
  local share = math.max(1, math.floor(#all / threads))
  if own then
    requests, position = {}, 0
    for i = 1, share do requests[i] = all[number * share + i] end
  else
    requests, position = all, (number * share + start) % #all
  end
  -- wrk looks at the first thread's first request, and does not send it.
  if number == 0 then position = position - 1 end
end

function request()
  position = position + 1
  if position < 1 then return requests[1] end
  if position > #requests then position = 1 end
  return requests[position]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '{"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "status": %d, "broken": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.status, e.connect + e.read + e.write + e.timeout))
end
