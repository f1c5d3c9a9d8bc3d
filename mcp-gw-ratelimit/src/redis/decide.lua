-- One decision: all demands are charged, or none. KEYS are the counts, in the order of the demands;
-- ARGV[1] is "charge" or "peek", then come 9 words for each demand (see `script.rs`).
-- The maths is that of `maths.rs`, step by step: whole microseconds and units below 2^53, so that
-- doubles are exact. `..` and tostring() are not (14 digits), and are not used on numbers.
local call, floor, max, min = redis.call, math.floor, math.max, math.min
local time = call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local WORDS = 9

-- A sliding window is a list: number of a granule, units in it, the number of a later granule, …,
-- and at its end the length of a granule and the sum of all units. `first` to `count` are the pairs
-- that are there, of which those that were looked at are in `numbers` and `units`.
local Window = {}
Window.__index = Window

function Window:read(word)
  local exact = word[1] == 1
  self.fine = { granule = word[2], span = word[3] }
  self.parts = { granule = word[4], span = word[5] }
  self.own = exact and self.fine or self.parts
  self.numbers, self.units = {}, {}
  self:clear()
  self.stored = 0
  local length = call('LLEN', self.key)
  if length == 0 then return end
  local tail = call('LRANGE', self.key, -4, -1)
  local count = (length - 2) / 2
  self.count, self.stored, self.is_known = count, count, true
  self.numbers[count], self.units[count] = tonumber(tail[1]), tonumber(tail[2])
  self.newest, self.sum, self.stored_sum = self.numbers[count], tonumber(tail[4]), tonumber(tail[4])
  self.granule = tonumber(tail[3])
  -- What was counted in parts goes on so until nothing of it counts.
  if self.granule == self.parts.granule then
    self.grid = self.parts
  elseif self.granule == self.fine.granule then
    self.grid = self.fine
  else
    self.grid = nil -- The window was another one.
  end
end

function Window:clear()
  self.first, self.count, self.sum, self.newest, self.grid = self.stored and self.stored + 1 or 1,
    self.stored or 0, 0, 0, self.own
end

function Window:look(index)
  if not self.numbers[index] then
    local words = call('LRANGE', self.key, 2 * index - 2, 2 * min(index + 8, self.stored) - 1)
    for at = 1, #words, 2 do
      local place = index + (at - 1) / 2
      if not self.numbers[place] then
        self.numbers[place], self.units[place] = tonumber(words[at]), tonumber(words[at + 1])
      end
    end
  end
  return self.numbers[index], self.units[index]
end

-- Counts on in the limit's own granules. Each unit counts for at least as long as it would have.
function Window:convert()
  local numbers, units, count, grid = {}, {}, 0, self.own
  for index = self.first, self.count do
    local number, more = self:look(index)
    local start = number * self.granule
    number = floor(min(start + self.granule - 1, max(now, start)) / grid.granule)
    if count > 0 and numbers[count] == number then
      units[count] = units[count] + more
    else
      count = count + 1
      numbers[count], units[count] = number, more
    end
  end
  self.numbers, self.units, self.first, self.count = numbers, units, 1, count
  self.newest, self.grid, self.rewrite = numbers[count], grid, true
end

function Window:settle()
  if self.count < self.first then return end
  local grid = self.grid
  if grid and now >= (self.newest + grid.span) * grid.granule then
    self.rewrite = nil
    return self:clear()
  end
  if grid ~= self.own and (not grid or self.own == self.parts) then self:convert() end
  grid = self.grid
  local current = max(floor(now / grid.granule), self.newest)
  while self.first <= self.count do
    local number, units = self:look(self.first)
    if current - number < grid.span then return end
    self.sum, self.first = self.sum - units, self.first + 1
  end
  self:clear()
end

function Window:fits(cost)
  self:settle()
  return self.sum + cost <= self.quota
end

function Window:take(cost)
  local number = max(floor(now / self.grid.granule), self.newest)
  local last = self.count
  if self.first <= last and self.numbers[last] == number then
    self.units[last], self.added = self.units[last] + cost, true
  else
    self.count = last + 1
    self.numbers[last + 1], self.units[last + 1] = number, cost
  end
  self.sum, self.newest, self.taken = self.sum + cost, number, true
end

function Window:punish(cost)
  self:settle()
  -- What is over already, after the quota was lowered, is not given back.
  local over = min(max(self.sum + cost - self.quota, 0), cost)
  while over > 0 and self.first <= self.count do
    local _, units = self:look(self.first)
    local gone = min(over, units)
    over, self.sum = over - gone, self.sum - gone
    if gone == units then
      self.first, self.cut = self.first + 1, nil
    else
      self.units[self.first], self.cut = units - gone, true
    end
  end
  self:take(cost)
end

-- From when on nothing counts.
function Window:till()
  if self.count < self.first then return 0 end
  return (self.newest + self.grid.span) * self.grid.granule
end

-- When `needed` more units do not count any more.
function Window:frees(needed)
  if needed == 0 then return 0 end
  local rest = max(self.sum - self.quota, 0) + needed
  for index = self.first, self.count do
    local number, units = self:look(index)
    rest = rest - units
    if rest <= 0 then return (number + self.grid.span) * self.grid.granule end
  end
  return 0
end

function Window:standing(cost)
  self:settle()
  local left = max(self.quota - self.sum, 0)
  return left, max(self:till() - now, 0), max(self:frees(max(cost - left, 0)) - now, 0)
end

function Window:write()
  local key, grid = self.key, self.grid
  if self.rewrite or self.first > self.stored then
    if self.stored > 0 then call('DEL', key) end
    local words = {}
    for index = self.first, self.count do
      local number, units = self:look(index)
      words[#words + 1], words[#words + 2] = number, units
    end
    words[#words + 1], words[#words + 2] = grid.granule, self.sum
    call('RPUSH', key, unpack(words))
    self:keep(grid.granule / 1000)
  else
    self:keep(grid.granule / 1000)
    if self.first > 1 then call('LTRIM', key, 2 * self.first - 2, -1) end
    if self.cut then call('LSET', key, 1, self.units[self.first]) end
    if self.added then call('LSET', key, -3, self.units[self.stored]) end
    if self.count > self.stored then
      call('RPOP', key, 2)
      call('RPUSH', key, self.numbers[self.count], self.units[self.count], grid.granule, self.sum)
    elseif self.sum ~= self.stored_sum then
      call('LSET', key, -1, self.sum)
    end
  end
end

-- A bucket is a hash: `f`, when it will be full, and `p`, parts of a microsecond after that.
local Bucket = {}
Bucket.__index = Bucket

function Bucket:read(word)
  self.step, self.step_part, self.depth, self.depth_part = word[1], word[2], word[3], word[4]
  self.window = self.step * self.rate + self.step_part
  local found = call('HMGET', self.key, 'f', 'p')
  self.full, self.part = now, 0
  self.is_known = found[1] and true
  local full, part = tonumber(found[1] or 0), tonumber(found[2] or 0)
  -- A part of another quota, after the limit was changed, is less than a microsecond.
  if part >= self.rate then full, part = full + 1, 0 end
  if full >= now then self.full, self.part = full, part end
end

-- The bucket after `cost` units were taken out.
function Bucket:after(cost)
  local part = self.part + cost * self.step_part
  return self.full + cost * self.step + floor(part / self.rate), part % self.rate
end

function Bucket:wait(cost)
  local full, part = self:after(cost)
  if part > self.depth_part then full = full + 1 end
  return max(full - now - self.depth, 0)
end

function Bucket:fits(cost) return self:wait(cost) == 0 end

function Bucket:take(cost)
  self.full, self.part = self:after(cost)
  self.taken = true
end

function Bucket:punish()
  local full, part = now + self.depth, self.depth_part
  if full > self.full or (full == self.full and part > self.part) then
    self.full, self.part = full, part
  end
  self.taken = true
end

function Bucket:left()
  local time, part = self.depth - (self.full - now), self.depth_part - self.part
  if part < 0 then time, part = time - 1, part + self.rate end
  if time < 0 then return 0 end
  -- As many units as go into the time that is left: an estimate, and from there step by step.
  local function goes(units)
    local parts = units * self.step_part
    local length = units * self.step + floor(parts / self.rate)
    return length < time or (length == time and parts % self.rate <= part)
  end
  local units = floor(time / self.window * self.rate)
  while units > 0 and not goes(units) do units = units - 1 end
  while goes(units + 1) do units = units + 1 end
  return units
end

function Bucket:till() return self.part > 0 and self.full + 1 or self.full end

function Bucket:standing(cost)
  local wait = cost <= self.quota and self:wait(cost) or 0
  return self:left(), self:till() - now, wait
end

function Bucket:write()
  self:set(1000, 'f', self.full, 'p', self.part)
end

-- A quota of the calendar is a hash: `u`, units used, and `e`, the end of their period.
local Calendar = {}
Calendar.__index = Calendar

function Calendar:read(word)
  self.is_month = word[1] == 1
  local found = call('HMGET', self.key, 'u', 'e')
  self.is_known = found[2] and true
  self.ends = tonumber(found[2] or 0)
  self.used = now < self.ends and tonumber(found[1]) or 0
end

-- The end of the period that `now` is in. Days are counted from 0000-03-01, so that the leap day is
-- the last of its year.
function Calendar:period_end()
  local day = floor(now / 86400000000)
  if not self.is_month then return (day + 1) * 86400000000 end
  local since = day + 719468
  local era = floor(since / 146097)
  local of_era = since % 146097
  local year = floor((of_era - floor(of_era / 1460) + floor(of_era / 36524)
    - floor(of_era / 146096)) / 365)
  local of_year = of_era - (365 * year + floor(year / 4) - floor(year / 100))
  local month = floor((5 * of_year + 2) / 153)
  local start = floor((153 * (month + 1) + 2) / 5)
  if month == 11 then
    local next = year + 1
    start = 365
    if next % 4 == 0 and (next % 100 ~= 0 or next == 400) then start = 366 end
  end
  return (day + start - of_year) * 86400000000
end

function Calendar:fits(cost) return self.used + cost <= self.quota end

function Calendar:take(cost)
  self.used = self.used + cost
  if self.ends <= now then self.ends = self:period_end() end
  self.taken = true
end

function Calendar:punish(cost)
  cost = min(cost, max(self.quota - self.used, 0))
  if cost > 0 then self:take(cost) end
end

function Calendar:till() return self.ends end

function Calendar:standing()
  local wait = max(self.ends - now, 0)
  return max(self.quota - self.used, 0), wait, wait
end

function Calendar:write()
  self:set(3600000, 'u', self.used, 'e', self.ends)
end

-- Lets the key go when nothing of it counts any more, and `more` milliseconds later.
local function keep(self, more)
  call('PEXPIRE', self.key, floor((self:till() - now) / 1000 + more) + 1)
end

-- A server that is full refuses what may need memory, unless the script has written something else
-- before: so what is known is written with an order that needs none first.
local function set(self, more, ...)
  if self.is_known then self:keep(more) end
  call('HSET', self.key, ...)
  if not self.is_known then self:keep(more) end
end

local kinds = { w = Window, b = Bucket, c = Calendar }
local demands, all_fit = {}, true

-- Everything is read before anything is written: a key that is not ours ends the script here.
for index = 1, #KEYS do
  local at = 2 + (index - 1) * WORDS
  local word = {}
  for place = 1, 5 do
    word[place] = tonumber(ARGV[at + 3 + place])
  end
  local demand = setmetatable({
    key = KEYS[index],
    quota = tonumber(ARGV[at + 1]), -- The most that fits in.
    cost = tonumber(ARGV[at + 2]),
    penalty = ARGV[at + 3] == '1',
    rate = word[5],
    keep = keep,
    set = set,
  }, kinds[ARGV[at]])
  demand:read(word)
  demands[index] = demand
end
for _, demand in ipairs(demands) do
  local cost = demand.cost
  demand.has_room = cost == 0 or (cost <= demand.quota and demand:fits(cost))
  all_fit = all_fit and demand.has_room
end

local reply = {}
for index, demand in ipairs(demands) do
  local cost = demand.cost
  if ARGV[1] == 'charge' and cost > 0 and (all_fit or demand.penalty) then
    if demand.has_room then
      demand:take(cost)
    else
      demand:punish(min(cost, demand.quota))
    end
  end
  local left, reset, retry = demand:standing(cost)
  local at = 4 * index - 3
  reply[at] = demand.has_room and 1 or 0
  reply[at + 1], reply[at + 2] = left, reset
  reply[at + 3] = demand.has_room and 0 or cost <= demand.quota and retry or -1
end
if ARGV[1] == 'charge' then
  -- What was refused leaves no trace, or time that went back once would be missed.
  -- What is known comes first: who has a count goes on when the server is full. If nothing is, the
  -- first order is refused, and nothing was written.
  for pass = 1, 2 do
    for _, demand in ipairs(demands) do
      if demand.taken and (pass == 1) == (demand.is_known == true) then demand:write() end
    end
  end
end
return reply
