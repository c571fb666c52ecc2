#include "common/wire/messages.h"

#include <array>
#include <cstring>
#include <utility>

#include "common/wire/bytes.h"

namespace modelhop {
namespace {

// Frame: "MHOP", version u32, direction u8, kind u8, body length u32, body.
constexpr std::array<std::uint8_t, 4> kMagic = {'M', 'H', 'O', 'P'};
constexpr std::size_t kHeaderBytes = 14;
enum class Direction : std::uint8_t { kToScheduler = 1, kToWorker = 2 };

template <class Message>
std::vector<std::uint8_t> encode_frame(Direction direction, const Message& message) {
  ByteWriter writer;
  writer.bytes.assign(kMagic.begin(), kMagic.end());
  writer.put(kWireVersion);
  writer.put(static_cast<std::uint8_t>(direction));
  writer.put(static_cast<std::uint8_t>(message.index()));
  writer.put(std::uint32_t{0});  // the body's length, known below
  std::visit([&](const auto& body) { fields(writer, body); }, message);
  const auto length = static_cast<std::uint32_t>(writer.bytes.size() - kHeaderBytes);
  for (std::size_t i = 0; i < 4; ++i) writer.bytes[kHeaderBytes - 4 + i] = static_cast<std::uint8_t>(length >> (8 * i));
  return std::move(writer.bytes);
}

template <class Message, std::size_t... kIndex>
bool emplace_kind(Message& message, std::size_t kind, std::index_sequence<kIndex...>) {
  return ((kind == kIndex && (message.template emplace<kIndex>(), true)) || ...);
}

template <class Message>
Result<Message> decode_frame(Direction direction, std::span<const std::uint8_t> frame) {
  if (frame.size() > kFrameBytesMax) {
    return corrupt("frame: has " + std::to_string(frame.size()) + " bytes, the limit is " +
                   std::to_string(kFrameBytesMax));
  }
  if (frame.size() < kHeaderBytes || std::memcmp(frame.data(), kMagic.data(), kMagic.size()) != 0) {
    return corrupt("frame: does not begin as one of modelhop's");
  }
  ByteReader header(frame.subspan(kMagic.size(), kHeaderBytes - kMagic.size()));
  std::uint32_t version = 0, length = 0;
  std::uint8_t way = 0, kind = 0;
  header("version", version);
  header("direction", way);
  header("kind", kind);
  header("length", length);
  RETURN_IF_ERROR(header.status());
  if (version != kWireVersion) {
    return invalid("frame: speaks wire version " + std::to_string(version) + ", this program speaks " +
                   std::to_string(kWireVersion) + "; run the same release on scheduler and workers");
  }
  if (way != static_cast<std::uint8_t>(direction)) return corrupt("frame: is meant for the other side");
  if (length != frame.size() - kHeaderBytes) {
    return corrupt("frame: says a body of " + std::to_string(length) + " bytes, has " +
                   std::to_string(frame.size() - kHeaderBytes));
  }
  Message message;
  if (!emplace_kind(message, kind, std::make_index_sequence<std::variant_size_v<Message>>())) {
    return corrupt("frame: has the unknown kind " + std::to_string(kind));
  }
  ByteReader reader(frame.subspan(kHeaderBytes));
  std::visit([&](auto& body) { fields(reader, body); }, message);
  RETURN_IF_ERROR(reader.status());
  if (!reader.at_end()) return corrupt("frame: has bytes after its last field");
  return message;
}

}  // namespace

std::vector<std::uint8_t> encode(const ToScheduler& message) { return encode_frame(Direction::kToScheduler, message); }

std::vector<std::uint8_t> encode(const ToWorker& message) { return encode_frame(Direction::kToWorker, message); }

Result<ToScheduler> decode_to_scheduler(std::span<const std::uint8_t> frame) {
  return decode_frame<ToScheduler>(Direction::kToScheduler, frame);
}

Result<ToWorker> decode_to_worker(std::span<const std::uint8_t> frame) {
  return decode_frame<ToWorker>(Direction::kToWorker, frame);
}

}  // namespace modelhop
