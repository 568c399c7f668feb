-- Counts what the subjects of limits use, for all replicas. `pdp.usage.shared.script` calls it.
--
-- One call is about one tenant, so all its keys are in one slot of a cluster. A call
--   1. adds what a replica has counted by itself, or takes back;
--   2. takes the charges, in order. A charge is taken if all bounds of all its subjects have room
--      for it. Otherwise it adds nothing.
-- Windows are those of this server's clock, so that all replicas have the same.
-- Everything is read before the first write: a call that fails has written nothing.
--
-- KEYS[1]  the calls of one replica for the tenant; KEYS[2] and on are subjects.
-- ARGV[1]  count; read: takes nothing; fence: see `fence`.
-- ARGV[2]  the generation of the connection, ARGV[3] the number of the call's first charge, and
-- ARGV[4]  the lowest number to which the replica has no answer yet.
-- ARGV[5]  {additions, charges} in MessagePack:
--          {key, window, start, requests, tokens, cost}
--          {requests, tokens, cost, {{key, {{window, measure, allowed}, …}}, …}}
--
-- Returns {time, {{taken, rows}, …}} in MessagePack. `rows` has one row for each subject: its usage
-- before the charge, and when the minute has room and is empty. The row of a subject whose key holds
-- something else is false; its charge is not taken.

local MINUTE, DAY, MAX_COUNT = 60, 86400, 9007199254740991
local CALLS_TTL = DAY
local SECOND_WINDOW, DAY_WINDOW, MONTH_WINDOW = 0, 1, 2

local clock = redis.call('TIME')
local now = tonumber(clock[1])
local today = now - now % DAY

-- The start of the month of a day. Days are counted from 0000-03-01, so that a leap day is the last
-- of its year.
local function month_of(day_start)
  local days = day_start / DAY + 719468
  local era_day = days % 146097
  local year = math.floor((era_day - math.floor(era_day / 1460) + math.floor(era_day / 36524)
    - math.floor(era_day / 146096)) / 365)
  local year_day = era_day - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local month = math.floor((5 * year_day + 2) / 153)
  local month_day = year_day - math.floor((153 * month + 2) / 5)
  return day_start - month_day * DAY
end

local this_month = month_of(today)
local subject_ttl = this_month + 33 * DAY - now

local function bounded(count)
  return math.max(0, math.min(count, MAX_COUNT))
end

-- Opens new windows. Never goes back: a clock that was set back must not empty windows.
local function advance(subject)
  if now > subject.second then subject.second = now end
  if today > subject.day_start then
    subject.day_start, subject.day = today, {0, 0, 0}
  end
  if this_month > subject.month_start then
    subject.month_start, subject.month = this_month, {0, 0, 0}
  end
  local open, minute = {}, 0
  for _, each in ipairs(subject.seconds) do
    -- The second that began a minute ago may have requests of less than 60 seconds ago.
    if each[1] >= subject.second - MINUTE then
      open[#open + 1] = each
      minute = minute + each[2]
    end
  end
  subject.seconds, subject.minute = open, minute
end

local function unpacked(stored)
  local subject = cmsgpack.unpack(stored)
  return {
    second = subject[1] + 0, day_start = subject[2] + 0, month_start = subject[3] + 0,
    day = {subject[4][1] + 0, subject[4][2] + 0, subject[4][3] + 0},
    month = {subject[5][1] + 0, subject[5][2] + 0, subject[5][3] + 0},
    seconds = subject[6],
  }
end

local function load(key)
  local stored = redis.pcall('GET', key)
  if type(stored) == 'table' then return false end
  local subject = {
    second = 0, day_start = 0, month_start = 0, day = {0, 0, 0}, month = {0, 0, 0}, seconds = {},
  }
  if stored then
    local read, result = pcall(unpacked, stored)
    if not read then return false end
    subject = result
  end
  if not pcall(advance, subject) then return false end
  return subject
end

local function store(key, subject)
  local packed = cmsgpack.pack({
    subject.second, subject.day_start, subject.month_start,
    subject.day, subject.month, subject.seconds,
  })
  redis.call('SET', key, packed, 'EX', subject_ttl)
end

local function add_second(subject, second, requests)
  if second < subject.second - MINUTE then return end
  subject.minute = subject.minute + requests
  local seconds = subject.seconds
  local place = #seconds
  while place > 0 and seconds[place][1] > second do place = place - 1 end
  if place > 0 and seconds[place][1] == second then
    seconds[place][2] = seconds[place][2] + requests
  else
    table.insert(seconds, place + 1, {second, requests})
  end
end

local function add_counts(total, counts)
  for measure = 1, 3 do total[measure] = bounded(total[measure] + counts[measure]) end
end

-- Adds to a window if it is still open. A window of the future is the open one: the clock of the
-- replica is ahead.
local function add(subject, window, start, counts)
  if window == SECOND_WINDOW then
    add_second(subject, math.min(start, subject.second), counts[1])
  elseif window == DAY_WINDOW then
    if start >= subject.day_start then add_counts(subject.day, counts) end
  elseif start >= subject.month_start then
    add_counts(subject.month, counts)
  end
end

local function charge(subject, counts)
  add_second(subject, subject.second, counts[1])
  add_counts(subject.day, counts)
  add_counts(subject.month, counts)
end

local function minute_of(subject)
  return math.max(0, subject.minute)
end

local function used(subject, window, measure)
  if window == DAY_WINDOW then return subject.day[measure + 1] end
  if window == MONTH_WINDOW then return subject.month[measure + 1] end
  return minute_of(subject)
end

local function has_room(subject, checks, counts)
  for _, check in ipairs(checks) do
    local spent, allowed = used(subject, check[1], check[2]), check[3]
    if spent >= allowed or spent + counts[check[2] + 1] > allowed then return false end
  end
  return true
end

-- Returns when the minute has room for one more request; 0 if it has room now or never.
local function frees_at(subject, checks)
  for _, check in ipairs(checks) do
    if check[1] == SECOND_WINDOW and subject.minute >= check[3] then
      local remaining = subject.minute
      for _, each in ipairs(subject.seconds) do
        remaining = remaining - each[2]
        if remaining < check[3] then return each[1] + MINUTE + 1 end
      end
    end
  end
  return 0
end

local function row(subject, checks)
  local minute, last = minute_of(subject), subject.seconds[#subject.seconds]
  local empty_at = (minute > 0 and last) and last[1] + MINUTE + 1 or subject.second
  local day, month = subject.day, subject.month
  return {
    minute, day[1], day[2], day[3], month[1], month[2], month[3],
    frees_at(subject, checks), empty_at,
  }
end

-- The calls of a replica for the tenant, so that it can ask which of them ran when its connection
-- broke: {the lowest generation that may call, the generation of the last call, its number, the
-- numbers of the charges that were taken, from the floor on}.
local function read_calls()
  local stored = redis.call('GET', KEYS[1])
  return stored and cmsgpack.unpack(stored) or {0, 0, 0, {}}
end

local function write_calls(calls)
  redis.call('SET', KEYS[1], cmsgpack.pack(calls), 'EX', CALLS_TTL)
end

-- Ends earlier generations: what may still be under way from their connections is refused. Returns
-- the calls that ran: {generation, number, taken}.
local function fence(generation)
  local calls = read_calls()
  calls[1] = math.max(calls[1], generation)
  write_calls(calls)
  return cmsgpack.pack({calls[2], calls[3], calls[4]})
end

local function count(takes)
  local generation, number = tonumber(ARGV[2]), tonumber(ARGV[3])
  local input = cmsgpack.unpack(ARGV[5])
  local calls = takes and read_calls()
  if calls and calls[1] > generation then
    return redis.error_reply('FENCED the connection was replaced')
  end
  local subjects, changed = {}, {}
  local function subject_at(key)
    if subjects[key] == nil then subjects[key] = load(KEYS[key]) end
    return subjects[key]
  end
  for _, each in ipairs(input[1]) do
    local subject = subject_at(each[1])
    if subject then
      add(subject, each[2], each[3], {each[4], each[5], each[6]})
      changed[each[1]] = subject
    end
  end
  local taken_numbers, results = {}, {}
  if calls and calls[2] == generation then
    for _, each in ipairs(calls[4]) do
      if each >= tonumber(ARGV[4]) then taken_numbers[#taken_numbers + 1] = each end
    end
  end
  for index, each in ipairs(input[2]) do
    local counts, taken, rows = {each[1], each[2], each[3]}, takes, {}
    for place, asked in ipairs(each[4]) do
      local subject = subject_at(asked[1])
      rows[place] = subject and row(subject, asked[2])
      taken = taken and subject and has_room(subject, asked[2], counts)
    end
    taken = taken and true or false
    if taken then
      for _, asked in ipairs(each[4]) do
        charge(subjects[asked[1]], counts)
        changed[asked[1]] = subjects[asked[1]]
      end
      taken_numbers[#taken_numbers + 1] = number + index - 1
    end
    results[index] = {taken, rows}
  end
  if takes then
    write_calls({generation, generation, number + math.max(0, #results - 1), taken_numbers})
    for key, subject in pairs(changed) do store(KEYS[key], subject) end
  end
  return cmsgpack.pack({now + tonumber(clock[2]) / 1000000, results})
end

if ARGV[1] == 'fence' then return fence(tonumber(ARGV[2])) end
return count(ARGV[1] == 'count')
