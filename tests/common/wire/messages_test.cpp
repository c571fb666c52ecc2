#include "common/wire/messages.h"

#include <catch2/catch_test_macros.hpp>
#include <random>

#include "common/base/limits.h"
#include "common/wire/text.h"
#include "tests/common/wire/filler.h"

using namespace modelhop;

namespace {

using Bytes = std::vector<std::uint8_t>;

template <class Message>
Result<Message> decode(const Bytes& frame) {
  if constexpr (std::is_same_v<Message, ToWorker>) {
    return decode_to_worker(frame);
  } else {
    return decode_to_scheduler(frame);
  }
}

template <class Message>
void round_trip(std::uint64_t seed) {
  for (const Message& message : one_of_each<Message>(seed)) {
    const Bytes frame = encode(message);
    const Result<Message> back = decode<Message>(frame);
    INFO("kind " << message.index() << ": " << back.status().message());
    REQUIRE(back.ok());
    REQUIRE(back->index() == message.index());
    REQUIRE(encode(*back) == frame);
  }
}

// What decodes must be what encode() makes of it: no second spelling of a message.
template <class Message>
void refused_or_canonical(const Bytes& frame) {
  const Result<Message> back = decode<Message>(frame);
  if (back.ok()) REQUIRE(encode(*back) == frame);
}

template <class Message>
void damage(std::uint64_t seed) {
  for (const Message& message : one_of_each<Message>(seed)) {
    const Bytes frame = encode(message);
    for (std::size_t length = 0; length < frame.size(); ++length) {
      REQUIRE_FALSE(decode<Message>(Bytes(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(length))).ok());
    }
    for (std::size_t at = 0; at < frame.size(); ++at) {
      for (int bit = 0; bit < 8; ++bit) {
        Bytes flipped = frame;
        flipped[at] = static_cast<std::uint8_t>(flipped[at] ^ (1 << bit));
        refused_or_canonical<Message>(flipped);
      }
    }
    Bytes longer = frame;
    longer.push_back(0);
    REQUIRE_FALSE(decode<Message>(longer).ok());
  }
}

}  // namespace

TEST_CASE("every message comes back as it was sent", "[wire]") {
  const std::uint64_t first = std::random_device{}();
  CAPTURE(first);
  for (std::uint64_t seed = first; seed < first + 200; ++seed) {
    round_trip<ToScheduler>(seed);
    round_trip<ToWorker>(seed);
  }
}

TEST_CASE("a frame cut short or with a flipped bit is refused or means what it says", "[wire]") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    damage<ToScheduler>(seed);
    damage<ToWorker>(seed);
  }
}

TEST_CASE("a frame is bytes that the format page shows", "[wire]") {
  const Bytes frame = encode(ToWorker(Dismiss{{7}, {345}, {3, 17}, true}));
  const Bytes expected = {'M', 'H', 'O', 'P', 2, 0, 0, 0, 2,    5, 33, 0, 0, 0,        // header
                          7,   0,   0,   0,   0, 0, 0, 0, 0x59, 1, 0,  0, 0, 0, 0, 0,  // e7, u345
                          3,   0,   0,   0,   0, 0, 0, 0, 17,   0, 0,  0, 0, 0, 0, 0,  // token 3.17
                          1};                                                          // nothing more is needed
  CHECK(frame == expected);
}

TEST_CASE("a frame for the other side, of another version or over the limit is refused by name", "[wire]") {
  Bytes frame = encode(ToWorker(Refused{"no"}));
  CHECK(decode_to_scheduler(frame).status().message() == "frame: is meant for the other side");
  frame[4] = 3;
  CHECK(decode_to_worker(frame).status().message().find("wire version 3") != std::string::npos);
  CHECK(decode_to_worker(Bytes(kFrameBytesMax + 1)).status().message().find("the limit is 8388608") !=
        std::string::npos);
}

TEST_CASE("lists and names over their limits are refused", "[wire][limits]") {
  UnitDone done;
  done.report.members.resize(1);
  done.report.members[0].train.resize(kSumsMax);
  CHECK(decode_to_scheduler(encode(ToScheduler(done))).ok());
  done.report.members[0].train.resize(kSumsMax + 1);
  CHECK(decode_to_scheduler(encode(ToScheduler(done))).status().message().find("train at byte") == 0);
  done.report.members[0].train.clear();
  done.report.members.resize(kUnitMembersMax + 1);
  CHECK_FALSE(decode_to_scheduler(encode(ToScheduler(done))).ok());

  Place place;
  place.dataset = std::string(kNameBytesMax, 'x');
  place.partitions.resize(kPartitionsMax);
  CHECK(decode_to_worker(encode(ToWorker(place))).ok());
  place.partitions.resize(kPartitionsMax + 1);
  CHECK_FALSE(decode_to_worker(encode(ToWorker(place))).ok());
  place.partitions.clear();
  place.dataset += "x";
  CHECK_FALSE(decode_to_worker(encode(ToWorker(place))).ok());

  Heartbeat beat;
  beat.units.resize(kUnitsHeldMax + 1);
  CHECK_FALSE(decode_to_scheduler(encode(ToScheduler(beat))).ok());
}

TEST_CASE("a fault's detail is cut and made valid text, not refused", "[wire][limits]") {
  UnitDone done;
  done.report.detail = std::string(kDetailBytesMax - 1, 'x') + "é and more";
  Result<ToScheduler> back = decode_to_scheduler(encode(ToScheduler(done)));
  REQUIRE(back.ok());
  CHECK(std::get<UnitDone>(*back).report.detail == std::string(kDetailBytesMax - 1, 'x'));
  done.report.detail = "bad \xff byte";
  back = decode_to_scheduler(encode(ToScheduler(done)));
  REQUIRE(back.ok());
  CHECK(std::get<UnitDone>(*back).report.detail == "bad ? byte");
}

TEST_CASE("text that is not UTF-8 is refused from the wire", "[wire]") {
  WorkerHello hello;
  hello.name = "w\xc0\x80";
  CHECK(decode_to_scheduler(encode(ToScheduler(hello))).status().message().find("is not UTF-8") != std::string::npos);
  CHECK(is_utf8("\xf4\x8f\xbf\xbf"));
  CHECK_FALSE(is_utf8("\xf4\x90\x80\x80"));
  CHECK_FALSE(is_utf8("\xed\xa0\x80"));
  CHECK_FALSE(is_utf8("\xe0\x80\x80"));
}
