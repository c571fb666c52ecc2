#include "scheduler/server/garbage.h"

#include "common/state/state_file.h"
#include "common/wire/json.h"

namespace modelhop {

Result<GarbageRequest> parse_garbage_request(const std::string& body) {
  GarbageRequest request;
  if (body.empty()) return request;
  const Result<nlohmann::json> json = parse_bounded_json(body, kGarbageBodyBytesMax);
  if (!json.ok()) return invalid("the body " + json.status().message());
  if (!json->is_object()) return invalid("the body wants an object with dry_run or after");
  for (const auto& [key, value] : json->items()) {
    if (key == "dry_run") {
      if (!value.is_boolean()) return invalid("/dry_run: wants true or false");
      request.dry_run = value.get<bool>();
    } else if (key == "after") {
      if (!value.is_string() || value.get_ref<const std::string&>().size() > kBlobNameBytesMax) {
        return invalid("/after: wants the \"next\" of the answer before");
      }
      request.after = value.get<std::string>();
    } else {
      return invalid("the body knows dry_run and after, and nothing else");
    }
  }
  return request;
}

Result<GarbageListing> list_garbage(BlobStore& store, std::uint64_t cluster, const std::string& after, WallMs now,
                                    std::size_t looked_at_max) {
  GarbageListing listing;
  ASSIGN_OR_RETURN(listing.states, store.scan(states_folder(cluster), after, looked_at_max));
  if (!after.empty()) return listing;
  ASSIGN_OR_RETURN(listing.leftovers, store.leftovers(looked_at_max));
  std::erase_if(listing.leftovers, [&](const BlobEntry& e) { return now.value - e.modified.value < kLeftoverMs; });
  return listing;
}

GarbagePiece judge_garbage(const Core& core, const GarbageListing& listing) {
  GarbagePiece piece;
  for (const BlobEntry& left : listing.leftovers) {
    piece.garbage.push_back({left.name, true, left.size_bytes, "its writer died a day ago or more"});
  }
  for (const BlobEntry& blob : listing.states.entries) {
    const auto name = parse_state_blob_name(blob.name, core.state().cluster);
    const Judgement judgement = name ? core.judge(*name) : Judgement{true, "no state's name"};
    if (judgement.keep) {
      ++piece.kept;
      piece.kept_bytes += blob.size_bytes;
      ++piece.kept_why[judgement.why];
    } else {
      piece.garbage.push_back({blob.name, false, blob.size_bytes, judgement.why});
    }
  }
  if (!listing.states.complete) piece.next = listing.states.entries.back().name;
  return piece;
}

Status delete_garbage(BlobStore& store, const Garbage& garbage) {
  return garbage.leftover ? store.remove_leftover(garbage.name) : store.remove(garbage.name);
}

Json garbage_json(const GarbagePiece& piece, std::uint64_t cluster, bool dry_run) {
  Json items = Json::array();
  std::uint64_t bytes = 0;
  for (const Garbage& one : piece.garbage) {
    const auto name = one.leftover ? std::nullopt : parse_state_blob_name(one.name, cluster);
    const std::string id = name ? to_string(name->experiment, name->trial) + "@" + std::to_string(name->lineage) + "." +
                                      std::to_string(name->visits)
                                : "";
    items.push_back({{"checkpoint", name ? Json(id) : Json(nullptr)},
                     {"blob", one.leftover ? "tmp/" + one.name : one.name},
                     {"size_bytes", one.size_bytes},
                     {"reason", one.why}});
    bytes += one.size_bytes;
  }
  return {{"dry_run", dry_run},
          {"items", std::move(items)},
          {"count", piece.garbage.size()},
          {"size_bytes", bytes},
          {"kept", piece.kept},
          {"kept_bytes", piece.kept_bytes},
          {"kept_reasons", piece.kept_why},
          {"next", piece.next.empty() ? Json(nullptr) : Json(piece.next)}};
}

}  // namespace modelhop
