-- The testbed's protocol in Wireshark and tshark: message type, client, layers and bytes as fields.
--
--   tshark -X lua_script:perdnn.lua -r backhaul.pcapng -Y perdnn -T fields -e perdnn.type ...
--   testbed analyze --install-dissector    installs it for good
--
-- Frames are described in testbed/protocol/framing.py: a 16-byte preamble, a MessagePack header, a body.
-- Bodies are long and captures keep the first bytes of each packet only, so nothing is reassembled:
-- where the next frame of a stream begins is counted from the lengths in the preambles, and what of
-- a header was captured is shown. Everything is bounded by what was captured.

local is_first, perdnn = pcall(Proto, "perdnn", "PerDNN testbed")
if not is_first then return end -- installed, and named with -X besides

local MAGIC = 0x50444e31 -- "PDN1"
local PREAMBLE_BYTES = 16
local MOST_HEADER_BYTES = 4 * 2^20
local MOST_BODY_BYTES = 2^30
local MOST_DEPTH = 16
local CIRCLE = 2^32 -- of sequence numbers
local PORTS = { 7000, 7001, 7002, 7003 }

local f = {
  type = ProtoField.string("perdnn.type", "Message type"),
  header_bytes = ProtoField.uint32("perdnn.header_bytes", "Header length"),
  body_bytes = ProtoField.uint64("perdnn.body_bytes", "Body length"),
  client = ProtoField.string("perdnn.client", "Client"),
  source = ProtoField.string("perdnn.source", "Source server"),
  server = ProtoField.string("perdnn.server", "Server"),
  destination = ProtoField.string("perdnn.destination", "Destination server"),
  access_point = ProtoField.string("perdnn.access_point", "Access point"),
  query = ProtoField.uint32("perdnn.query", "Query"),
  layers = ProtoField.uint32("perdnn.layers", "Layers named"),
  layer = ProtoField.uint32("perdnn.layer", "Layer"),
  digest = ProtoField.string("perdnn.digest", "Layer digest (SHA-256)"),
  size_bytes = ProtoField.uint64("perdnn.size_bytes", "Layer size"),
  offset_bytes = ProtoField.uint64("perdnn.offset_bytes", "Offset in the layer"),
  bytes = ProtoField.uint64("perdnn.bytes", "Layer or tensor bytes in this frame"),
  header = ProtoField.string("perdnn.header", "Header"),
  body_part = ProtoField.uint32("perdnn.body_part", "Bytes of a frame that began before"),
}
perdnn.fields = f

local truncated = ProtoExpert.new(
  "perdnn.truncated", "The header was not captured whole", expert.group.UNDECODED,
  expert.severity.NOTE)
perdnn.experts = { truncated }

local tcp_stream = Field.new("tcp.stream")
local tcp_sequence = Field.new("tcp.seq_raw")
local tcp_source = Field.new("tcp.srcport")

-- MessagePack, as far as it was captured

local CUT = {} -- thrown where the captured bytes end

local function need(reader, count)
  if reader.at + count > reader.stop then error(CUT, 0) end
  local range = reader.tvb(reader.at, count)
  reader.at = reader.at + count
  return range
end

local function unsigned(reader, count)
  if count == 0 then return 0 end
  local range = need(reader, count)
  if count == 8 then return range:uint64():tonumber() end
  return range:uint()
end

local function signed(reader, count)
  local value = unsigned(reader, count)
  local half = 2 ^ (8 * count - 1)
  return value >= half and value - 2 * half or value
end

local function text(reader, count)
  if count == 0 then return "" end
  return need(reader, count):string()
end

local value -- of any kind

-- Containers are filled as they are read, so that what came before a cut is there.
local function list(reader, count, depth, into)
  into.count, into.items = count, {}
  for index = 1, count do
    local place = {}
    into.items[index] = place
    value(reader, depth + 1, place)
  end
end

local function map(reader, count, depth, into)
  into.fields = {}
  for _ = 1, count do
    local key = {}
    value(reader, depth + 1, key)
    local place = {}
    into.fields[tostring(key.value)] = place
    value(reader, depth + 1, place)
  end
end

function value(reader, depth, into)
  if depth > MOST_DEPTH then error(CUT, 0) end
  local kind = need(reader, 1):uint()
  if kind < 0x80 then into.value = kind
  elseif kind < 0x90 then map(reader, kind - 0x80, depth, into)
  elseif kind < 0xa0 then list(reader, kind - 0x90, depth, into)
  elseif kind < 0xc0 then into.value = text(reader, kind - 0xa0)
  elseif kind == 0xc0 then into.value = nil
  elseif kind == 0xc2 then into.value = false
  elseif kind == 0xc3 then into.value = true
  elseif kind >= 0xc4 and kind <= 0xc6 then
    into.value = text(reader, unsigned(reader, 2 ^ (kind - 0xc4)))
  elseif kind == 0xca then into.value = need(reader, 4):float()
  elseif kind == 0xcb then into.value = need(reader, 8):float()
  elseif kind >= 0xcc and kind <= 0xcf then into.value = unsigned(reader, 2 ^ (kind - 0xcc))
  elseif kind >= 0xd0 and kind <= 0xd3 then into.value = signed(reader, 2 ^ (kind - 0xd0))
  elseif kind >= 0xd9 and kind <= 0xdb then
    into.value = text(reader, unsigned(reader, 2 ^ (kind - 0xd9)))
  elseif kind == 0xdc or kind == 0xdd then
    list(reader, unsigned(reader, 2 * (kind - 0xdb)), depth, into)
  elseif kind == 0xde or kind == 0xdf then
    map(reader, unsigned(reader, 2 * (kind - 0xdd)), depth, into)
  elseif kind >= 0xe0 then into.value = kind - 0x100
  else error(CUT, 0) end -- extension types are not used
end

-- Return what was captured of a header, and whether that is all of it.
local function decode(tvb, from, stop, length)
  local reader = { tvb = tvb, at = from, stop = math.min(stop, from + length) }
  local into = {}
  local whole, problem = pcall(value, reader, 0, into)
  if not whole and problem ~= CUT then error(problem, 0) end
  return into.fields or {}, whole
end

-- Where frames begin

local streams -- by TCP stream and source port: the sequence number of the next frame
local starts -- by packet: the offsets of the frames that begin in it
local known -- by TCP stream: its client, and the layers that were named on it by digest

function perdnn.init()
  streams, starts, known = {}, {}, {}
end

local function ahead(later, earlier)
  local distance = (later - earlier) % CIRCLE
  return distance < CIRCLE / 2 and distance or distance - CIRCLE
end

local function has_magic(tvb, offset)
  return offset + 4 <= tvb:len() and tvb(offset, 4):uint() == MAGIC
end

local function lengths(tvb, offset)
  if offset + PREAMBLE_BYTES > tvb:len() then return nil end
  local header = tvb(offset + 4, 4):uint()
  local body = tvb(offset + 8, 8):uint64():tonumber()
  if header > MOST_HEADER_BYTES or body > MOST_BODY_BYTES then return nil end
  return header, body
end

-- Return the offsets of the frames that begin in this segment; remember where the next one does.
local function find_starts(tvb, sequence, key)
  local length = tvb:reported_len()
  local stream = streams[key] or { seen = {} }
  streams[key] = stream
  local offset = stream.next and ahead(stream.next, sequence)
  if has_magic(tvb, 0) and (not offset or offset < 0 or stream.seen[sequence]) then offset = 0 end
  if not offset or offset < 0 then return {} end -- in the middle of a stream: wait for a frame
  local found = {}
  while offset < length do
    local header, body
    if has_magic(tvb, offset) then header, body = lengths(tvb, offset) end
    if not header then -- not captured so far, or no frame at all
      stream.next = nil
      return found
    end
    found[#found + 1] = offset
    stream.seen[(sequence + offset) % CIRCLE] = true
    offset = offset + PREAMBLE_BYTES + header + body
  end
  local following = (sequence + offset) % CIRCLE
  if not stream.next or ahead(following, stream.next) > 0 then stream.next = following end
  return found
end

-- Showing a frame

local function add(tree, field, range, content)
  if content ~= nil then tree:add(field, range, content) end
end

local function take(fields, name)
  local place = fields[name]
  return place and place.value
end

local function whole_number(content)
  return content and UInt64.new(content % CIRCLE, math.floor(content / CIRCLE))
end

-- Show the layers that a header names; return their bytes if all were captured.
local function show_layers(tree, range, layers, state)
  tree:add(f.layers, range, layers.count)
  local sum = 0
  for _, place in ipairs(layers.items) do
    local ref = place.fields or {}
    local layer, digest, size = take(ref, "layer"), take(ref, "digest"), take(ref, "size_bytes")
    if layer == nil then return nil end
    local item = tree:add(f.layer, range, layer)
    add(item, f.digest, range, digest)
    add(item, f.size_bytes, range, whole_number(size))
    if digest then state.layers[digest] = layer end
    sum = size and sum and sum + size
  end
  return #layers.items == layers.count and sum or nil
end

local function show_frame(tvb, offset, pinfo, root, state)
  local header, body = lengths(tvb, offset)
  local stop = math.min(tvb:len(), offset + PREAMBLE_BYTES + header)
  local fields, whole = decode(tvb, offset + PREAMBLE_BYTES, stop, header)
  local range = tvb(offset, stop - offset)
  local kind = take(fields, "type") or "?"
  local tree = root:add(perdnn, range)
  tree:add(f.type, range, kind)
  tree:add(f.header_bytes, tvb(offset + 4, 4))
  tree:add(f.body_bytes, tvb(offset + 8, 8))
  local client = take(fields, "client") or state.client
  state.client = client
  add(tree, f.client, range, client)
  for _, name in ipairs({ "source", "server", "destination", "access_point", "query" }) do
    add(tree, f[name], range, take(fields, name))
  end
  local told = kind
  if client then told = told .. " " .. client end
  local digest = take(fields, "digest")
  if digest then
    add(tree, f.layer, range, state.layers[digest])
    tree:add(f.digest, range, digest)
    if state.layers[digest] then told = told .. " layer " .. state.layers[digest] end
  end
  add(tree, f.offset_bytes, range, whole_number(take(fields, "offset_bytes")))
  local bytes = body > 0 and body or nil
  local layers = fields.layers
  if layers and layers.items then
    bytes = show_layers(tree, range, layers, state)
    told = told .. ", " .. layers.count .. " layers"
  end
  add(tree, f.bytes, range, whole_number(bytes))
  if bytes then told = told .. ", " .. string.format("%d", bytes) .. " bytes" end
  if not whole then tree:add_proto_expert_info(truncated) end
  tree:append_text(": " .. told)
  return told
end

function perdnn.dissector(tvb, pinfo, root)
  local stream, source = tcp_stream(), tcp_source()
  local sequence = tcp_sequence()
  if not stream or not sequence or tvb:reported_len() == 0 then return 0 end
  pinfo.cols.protocol = "PerDNN"
  local id = stream.value
  local packet = pinfo.number .. "/" .. tvb:offset()
  if not starts[packet] then
    starts[packet] = find_starts(tvb, sequence.value, id .. "/" .. source.value)
  end
  known[id] = known[id] or { layers = {} }
  local told = {}
  for _, offset in ipairs(starts[packet]) do
    told[#told + 1] = show_frame(tvb, offset, pinfo, root, known[id])
  end
  local first = starts[packet][1] or tvb:reported_len()
  if first > 0 and tvb:len() > 0 then
    local part = root:add(perdnn, tvb(0, math.min(first, tvb:len())))
    part:add(f.body_part, tvb(0, math.min(first, tvb:len())), first)
    part:append_text(": " .. string.format("%d", first) .. " bytes of a frame that began before")
    if #told == 0 then told[1] = "... " .. string.format("%d", first) .. " bytes" end
  end
  pinfo.cols.info = table.concat(told, "; ")
  return tvb:reported_len()
end

local ports = DissectorTable.get("tcp.port")
for _, port in ipairs(PORTS) do ports:add(port, perdnn) end
