#pragma once
// Garbage: what lies in the store and nothing needs. States that the journal keeps or has dropped itself are deleted by
// the core (scheduler/core/retention.cpp); here are the others: published by a unit whose report never counted, saved
// late, of an experiment that was deleted meanwhile, and what writers that died left behind.
// A pass goes over the store in pieces: list_garbage() looks (side thread), judge_garbage() decides (loop), and what it
// names is deleted. Only our own cluster's folder is looked at, and only names that are our own are named.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/store/blob_store.h"
#include "scheduler/api/api.h"
#include "scheduler/api/json_text.h"
#include "scheduler/core/core.h"

namespace modelhop {

// Blobs of one piece. Bounds memory, the loop's time, and how long a client waits (a deletion syncs its folder: 8 ms).
inline constexpr std::size_t kGarbageLookedAtMax = 1'024;
inline constexpr std::size_t kGarbageBodyBytesMax = 4'096;

struct GarbageRequest {
  bool dry_run{};
  std::string after;  // the `next` of the piece before
};
// The body of POST /checkpoints:gc; empty is all defaults.
Result<GarbageRequest> parse_garbage_request(const std::string& body);

struct GarbageListing {
  BlobScan states;
  std::vector<BlobEntry> leftovers;  // older than kLeftoverMs; with the first piece only
  std::size_t looked_at_max{};
};
// `now`: the store's clock. Errors name what could not be looked at.
Result<GarbageListing> list_garbage(BlobStore& store, std::uint64_t cluster, const std::string& after, WallMs now,
                                    std::size_t looked_at_max = kGarbageLookedAtMax);

struct Garbage {  // one thing that may be deleted
  std::string name;
  bool leftover{};  // the name is remove_leftover()'s
  std::uint64_t size_bytes{};
  std::string why;
};
struct GarbagePiece {
  std::vector<Garbage> garbage;
  std::uint64_t kept{}, kept_bytes{};
  std::map<std::string, std::uint64_t> kept_why;  // reason to number
  std::string next;                               // empty: that was all
};
GarbagePiece judge_garbage(const Core& core, const GarbageListing& listing);

Status delete_garbage(BlobStore& store, const Garbage& garbage);

// As POST /checkpoints:gc answers it.
Json garbage_json(const GarbagePiece& piece, std::uint64_t cluster, bool dry_run);

}  // namespace modelhop
