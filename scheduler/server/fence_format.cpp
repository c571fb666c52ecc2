#include <algorithm>

#include "common/spec/json_reader.h"
#include "scheduler/server/fence.h"

namespace modelhop {
namespace {

constexpr char kFenceFormat[] = "modelhop-fence";
constexpr std::uint64_t kFenceVersion = 1;
constexpr std::size_t kFenceTextMax = 512;  // of a host, an address, a machine

// Takes the keys of a fence one by one; the first fault stays.
class FenceReader {
 public:
  explicit FenceReader(nlohmann::json value) : value_(std::move(value)) {}

  std::string text(const char* key) {
    const auto found = value_.is_object() ? value_.find(key) : value_.end();
    if (found == value_.end() || !found->is_string()) return fail(key), "";
    std::string out = found->get<std::string>();
    // It is shown to people, in a terminal.
    const bool plain = std::all_of(out.begin(), out.end(), [](char c) { return c >= ' ' && c <= '~'; });
    if (!plain || out.size() > kFenceTextMax) fail(key);
    value_.erase(found);
    return out;
  }
  std::uint64_t number(const char* key) {
    const auto found = value_.is_object() ? value_.find(key) : value_.end();
    if (found == value_.end() || !found->is_number_unsigned()) return fail(key), 0;
    const auto out = found->get<std::uint64_t>();
    value_.erase(found);
    return out;
  }
  bool flag(const char* key) {
    const auto found = value_.is_object() ? value_.find(key) : value_.end();
    if (found == value_.end() || !found->is_boolean()) return fail(key), false;
    const bool out = found->get<bool>();
    value_.erase(found);
    return out;
  }
  void fail(const std::string& key) {
    if (status_.ok()) status_ = corrupt("\"" + key + "\" is missing or wrong");
  }
  Status finish() {
    if (status_.ok() && !value_.empty()) status_ = corrupt("unknown key \"" + value_.begin().key() + "\"");
    return status_;
  }

 private:
  nlohmann::json value_;
  Status status_;
};

}  // namespace

std::string to_json(const Fence& fence) {
  const nlohmann::ordered_json out = {{"format", kFenceFormat},
                                      {"version", kFenceVersion},
                                      {"boot", fence.boot},
                                      {"cluster", to_string(fence.owner.cluster)},
                                      {"machine", fence.owner.machine},
                                      {"device", fence.owner.device},
                                      {"inode", fence.owner.inode},
                                      {"host", fence.host},
                                      {"address", fence.address},
                                      {"pid", fence.pid},
                                      {"seq", fence.seq},
                                      {"released", fence.released},
                                      {"renewed", fence.renewed}};
  return out.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

Result<Fence> parse_fence(std::string_view text) {
  Result<nlohmann::json> value = read_json(text, {.bytes_max = kFenceBytesMax, .depth_max = 1, .values_max = 32});
  if (!value.ok()) return corrupt(value.status().message());
  FenceReader reader(std::move(*value));
  if (reader.text("format") != kFenceFormat) reader.fail("format");
  if (reader.number("version") != kFenceVersion) reader.fail("version");
  Fence fence;
  fence.boot = reader.number("boot");
  if (!parse(reader.text("cluster"), fence.owner.cluster)) reader.fail("cluster");
  fence.owner.machine = reader.text("machine");
  fence.owner.device = reader.number("device");
  fence.owner.inode = reader.number("inode");
  fence.host = reader.text("host");
  fence.address = reader.text("address");
  fence.pid = static_cast<std::int64_t>(reader.number("pid"));
  fence.seq = reader.number("seq");
  fence.released = reader.flag("released");
  fence.renewed = reader.text("renewed");
  RETURN_IF_ERROR(reader.finish());
  return fence;
}

}  // namespace modelhop
