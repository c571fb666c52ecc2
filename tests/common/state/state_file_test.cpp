#include "common/state/state_file.h"

#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "common/base/hash.h"
#include "common/state/state_header.h"
#include "tests/common/state/example_state.h"

using namespace modelhop;

namespace {

// The file with `from` replaced by `to` in its header, the header padded and its hash right again: what someone who
// means harm, or another program, could write.
std::vector<std::uint8_t> forged(const std::string& from, const std::string& to) {
  const StateArena state = example_state();
  const std::vector<std::uint8_t> bytes = encode_state_header(state.layout(), ref_of(state));
  std::string text(bytes.begin() + 8, bytes.end());
  text.erase(text.find_last_not_of(' ') + 1);
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
  text.append(aligned(8 + text.size()) - 8 - text.size(), ' ');
  const std::string hash =
      state_header::hash_of(std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
  text.replace(state_header::kHashAt, state_header::kHashDigits, hash);
  std::vector<std::uint8_t> file(8);
  for (std::size_t i = 0; i < 8; ++i) file[i] = static_cast<std::uint8_t>(text.size() >> (8 * i));
  file.insert(file.end(), text.begin(), text.end());
  file.insert(file.end(), state.bytes().begin(), state.bytes().end());
  return file;
}

std::string refusal(const std::vector<std::uint8_t>& file) {
  const auto decoded = decode_state(file, nullptr);
  REQUIRE_FALSE(decoded.ok());
  REQUIRE(decoded.status().code() == Code::kCorrupt);
  return decoded.status().message();
}

bool contains(const std::string& text, const std::string& part) {
  UNSCOPED_INFO(text);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a state comes back from its file bit for bit", "[state][file]") {
  const StateArena state = example_state();
  const std::vector<std::uint8_t> file = file_of(state, ref_of(state));
  CHECK((file.size() - state.bytes().size()) % kTensorAlignment == 0);
  for (const auto& expected : {std::shared_ptr<const StateLayout>(), example_layout()}) {
    auto decoded = decode_state(file, expected);
    REQUIRE(decoded.ok());
    StateRef ref = ref_of(state);
    ref.size_bytes = file.size();
    CHECK(decoded->ref == ref);
    CHECK(decoded->state->cursor == state.cursor);
    CHECK(decoded->state->layout().tensors == state.layout().tensors);
    CHECK(std::equal(state.bytes().begin(), state.bytes().end(), decoded->state->bytes().begin()));
    CHECK(file_of(*decoded->state, decoded->ref) == file);
  }
}

TEST_CASE("a state without tensors is a state", "[state][file]") {
  const StateArena state(std::make_shared<const StateLayout>(StateLayout::make({})));
  CHECK(decode_state(file_of(state, ref_of(state)), nullptr).ok());
}

TEST_CASE("every truncation of a state file is refused", "[state][file][corrupt]") {
  const StateArena state = example_state();
  const std::vector<std::uint8_t> file = file_of(state, ref_of(state));
  for (std::size_t size = 0; size < file.size(); ++size) {
    INFO(size);
    const auto decoded = decode_state(std::span(file).first(size), nullptr);
    REQUIRE_FALSE(decoded.ok());
    REQUIRE(decoded.status().code() == Code::kCorrupt);
  }
  std::vector<std::uint8_t> longer = file;
  longer.push_back(0);
  CHECK(contains(refusal(longer), "1281 bytes of tensors instead of 1280"));
}

TEST_CASE("every flipped bit of a state file is found", "[state][file][corrupt]") {
  const StateArena state = example_state();
  std::vector<std::uint8_t> file = file_of(state, ref_of(state));
  for (std::size_t bit = 0; bit < 8 * file.size(); ++bit) {
    INFO(bit);
    file[bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
    const auto decoded = decode_state(file, nullptr);
    REQUIRE_FALSE(decoded.ok());
    REQUIRE(decoded.status().code() == Code::kCorrupt);
    file[bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
  }
  CHECK(decode_state(file, nullptr).ok());
}

TEST_CASE("a header with a right hash and wrong content is refused by what is wrong", "[state][file][corrupt]") {
  CHECK(decode_state(forged("\"trial\":\"12\"", "\"trial\":\"13\""), nullptr).ok());  // the forger can
  CHECK(contains(refusal(forged("[0,24]", "[0,25]")), "data_offsets of '0.weight'"));
  CHECK(contains(refusal(forged("\"_pad.0\"", "\"_pad.1\"")), "'_pad.1' is not the pad"));
  CHECK(contains(refusal(forged("[256,512]", "[0,256]")), "data_offsets of '1.weight'"));
  CHECK(contains(refusal(forged("\"F32\"", "\"F31\"")), "unknown dtype 'F31' of tensor '0.weight'"));
  CHECK(contains(refusal(forged("\"1.weight\"", "\"0.weight\"")), "two tensors are named '0.weight'"));
  CHECK(contains(refusal(forged("\"1.weight\"", "\"_pad.7\"")), "'_pad.7' is not a tensor's name"));
  CHECK(contains(refusal(forged("\"1.weight\"", "\"1\\weight\"")), "is not a tensor's name"));
  CHECK(contains(refusal(forged("[2,3]", "[2,-3]")), "expected a number"));
  CHECK(contains(refusal(forged("[2,3]", "[2,0]")), "impossible shape"));
  CHECK(contains(refusal(forged("[2,3]", "[02,3]")), "expected a number"));
  CHECK(contains(refusal(forged("[2,3]", "[1099511627776,1099511627776]")), "impossible shape"));
  CHECK(contains(refusal(forged("[2,3]", "[18446744073709551616]")), "expected a number"));
  CHECK(contains(refusal(forged("[2,3]", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2,3]")), "too many dimensions"));
  CHECK(contains(refusal(forged("[2,3]", "[3,2]")), "layout hash"));
  CHECK(contains(refusal(forged("\"buffers\":\"2\"", "\"buffers\":\"1\"")), "expected '}'"));
  CHECK(contains(refusal(forged("\"buffers\":\"2\"", "\"buffers\":\"99999999999\"")), "expected"));
  CHECK(contains(refusal(forged("\"parameters\":\"2\",\"buffers\":\"2\"", "\"parameters\":\"3\",\"buffers\":\"1\"")),
                 "layout hash"));
  CHECK(contains(refusal(forged("\"epoch\":\"1\"", "\"epoch\":\"2\"")), "its content has the hash"));
  CHECK(contains(refusal(forged("\"epoch\":\"1\"", "\"epoch\":\"4294967296\"")), "at most 4294967295"));
  CHECK(contains(refusal(forged("\"modelhop_state\":\"1\"", "\"modelhop_state\":\"2\"")), "expected ',\"format\""));
  CHECK(contains(refusal(forged("}}", "}}" + std::string(256, ' ') + " ")), "spaces"));
  CHECK(contains(refusal(forged("}}", "}}x")), "spaces"));
}

TEST_CASE("a pad that is not zero is refused even where the hash is right", "[state][file][corrupt]") {
  StateArena state = example_state();
  state.bytes()[100] = 1;
  CHECK(contains(refusal(file_of(state, ref_of(state))), "the pad after tensor '0.weight' is not zero"));
}

TEST_CASE("a state of another layout than expected is refused", "[state][file]") {
  const StateArena state = example_state();
  const auto other = std::make_shared<const StateLayout>(StateLayout::make(
      {{.name = "0.weight", .section = Section::kParameters, .dtype = DType::kF32, .sizes = {2, 3}}}));
  const auto decoded = decode_state(file_of(state, ref_of(state)), other);
  REQUIRE_FALSE(decoded.ok());
  CHECK(contains(decoded.status().message(), "but the recipe's is " + to_string(other->hash)));
}

TEST_CASE("a header over the limit is refused before it is read", "[state][file][limit]") {
  std::vector<std::uint8_t> file(8 + kStateHeaderBytesMax + 256, ' ');
  const std::uint64_t size = kStateHeaderBytesMax + 248;
  for (std::size_t i = 0; i < 8; ++i) file[i] = static_cast<std::uint8_t>(size >> (8 * i));
  CHECK(contains(refusal(file), "a header of"));
  for (std::size_t i = 0; i < 8; ++i) file[i] = 0xff;
  CHECK(contains(refusal(file), "a header of 18446744073709551615 bytes"));
}

TEST_CASE("a state's blob name tells lineage, completed visits and hash", "[state][file]") {
  StateRef ref = ref_of(example_state());
  ref.at.epoch = 2;
  ref.at.visit = 3;
  ref.hash = hash_bytes("x");
  CHECK(state_blob_name(ref, {3, 4}) == "states/c3/e7/12/1.11-" + to_string(ref.hash) + ".safetensors");
}

TEST_CASE("Python's safetensors reads a state file", "[state][file][python]") {
  const char* python = std::getenv("MODELHOP_PYTHON");
  if (python == nullptr) SKIP("MODELHOP_PYTHON names no interpreter with safetensors and torch");
  const StateArena state = example_state();
  const std::vector<std::uint8_t> file = file_of(state, ref_of(state));
  const std::string path =
      (std::filesystem::temp_directory_path() / ("state-" + std::to_string(::getpid()) + ".safetensors")).string();
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
  const std::string script =
      "import sys, torch\n"
      "from safetensors import safe_open\n"
      "from safetensors.torch import load_file\n"
      "s = load_file(sys.argv[1])\n"
      "assert torch.equal(s['0.weight'], torch.arange(1, 7).reshape(2, 3) * 0.25), s\n"
      "assert s['1.weight'].shape == (64,) and s['1.weight'][0] == 1.25\n"
      "assert s['1.num_batches_tracked'].dtype == torch.int64 and s['1.num_batches_tracked'].shape == ()\n"
      "assert s['1.num_batches_tracked'].item() == 20\n"
      "assert not any(s[k].any() for k in s if k.startswith('_pad.'))\n"
      "m = safe_open(sys.argv[1], 'pt').metadata()\n"
      "assert m['experiment'] == '7' and m['samples'] == '1280', m\n";
  const std::string command = std::string(python) + " -c \"" + script + "\" " + path;
  CHECK(std::system(command.c_str()) == 0);
  std::filesystem::remove(path);
}

TEST_CASE("a state's name reads back, and no other text is one", "[state][file]") {
  StateName name{{7}, {12}, 1, 11, hash_bytes("a state")};
  const std::string blob = state_blob_name(name, 3);
  CHECK(parse_state_blob_name(blob, 3) == name);
  CHECK(parse_state_blob_name(blob, 30) == std::nullopt);
  const std::string hash = to_string(name.hash), in_capitals = [&] {
    std::string text = hash;
    for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return text;
  }();
  const auto with = [&](const std::string& middle) { return "states/c3/" + middle + ".safetensors"; };
  CHECK(parse_state_blob_name(with("e7/12/1.11-" + hash), 3) == name);
  for (const std::string& bad : {std::string(),
                                 std::string("states/c3/"),
                                 std::string("states/c3/.safetensors"),
                                 with(""),
                                 with("e"),
                                 with("e7/12/1.11-"),
                                 with("e07/12/1.11-" + hash),
                                 with("e7/12/01.11-" + hash),
                                 with("e7/+12/1.11-" + hash),
                                 with("e7/12/-1.11-" + hash),
                                 with("7/12/1.11-" + hash),
                                 with("e7/12/4294967296.11-" + hash),
                                 with("e7/12/1.99999999999999999999-" + hash),
                                 with("e7/12/1.11-" + in_capitals),
                                 with("e7/12/1.11-" + hash + "0"),
                                 with("e7/12/1.11-" + hash.substr(1)),
                                 with("e7/12/1.11-" + hash + "/x"),
                                 with("e7/12/x/1.11-" + hash),
                                 "states/c3/e7/12/1.11-" + hash,
                                 with("e7/12/1.11-" + hash) + "x",
                                 "data/c3/e7/12/1.11-" + hash + ".safetensors",
                                 with("../e7/12/1.11-" + hash)}) {
    INFO(bad);
    CHECK(parse_state_blob_name(bad, 3) == std::nullopt);
  }
}
