#include "scheduler/server/garbage_requests.h"

#include <memory>

#include "scheduler/server/fence.h"
#include "scheduler/server/garbage.h"
#include "scheduler/server/spec_requests.h"

namespace modelhop {
namespace {

// One request on its way from thread to thread. The last that holds it lets the next gc begin.
class Pass : public std::enable_shared_from_this<Pass> {
 public:
  Pass(const Backends& backends, GarbageRequest request, Done done)
      : backends_(backends), request_(std::move(request)), done_(std::move(done)) {}
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;
  ~Pass() {
    if (begun_) backends_.collecting = false;
  }

  void run() {
    if (!request_.dry_run) {
      if (backends_.collecting.exchange(true)) {
        return done_(problem(409, "conflict", "another gc runs; wait for its end, or see what is left with dry_run"));
      }
      begun_ = true;
    }
    on_loop([](Pass& pass, Loop& loop) {
      pass.cluster_ = loop.core_on_loop().state().cluster;
      pass.boot_ = loop.core_on_loop().state().boot;
      pass.on_side([](Pass& self) { self.list_on_side(); });
    });
  }

 private:
  void on_side(void (*task)(Pass&)) {
    if (!backends_.side.post([self = shared_from_this(), task] { task(*self); })) end(busy());
  }
  void on_loop(void (*task)(Pass&, Loop&)) {
    if (!backends_.loop.post([self = shared_from_this(), task](Loop& loop) { task(*self, loop); })) end(stopping());
  }

  void list_on_side() {
    Result<WallMs> now = backends_.store.clock();
    if (!now.ok() && request_.dry_run) now = wall_now();  // a store that cannot be written can be looked at
    Result<GarbageListing> listing =
        now.ok() ? list_garbage(backends_.store, cluster_, request_.after, *now, backends_.garbage_looked_at_max)
                 : Result<GarbageListing>(now.status());
    if (!listing.ok()) return end(problem_of(listing.status()));
    listing_ = std::move(*listing);
    on_loop([](Pass& pass, Loop& loop) { pass.judge_on_loop(loop); });
  }

  // What the core says of a state may rest on records that are not durable yet: a crash would take them back, and the
  // state would be needed again.
  void judge_on_loop(Loop& loop) {
    piece_ = judge_garbage(loop.core_on_loop(), listing_);
    loop.when_durable_on_loop([self = shared_from_this()] {
      if (self->request_.dry_run) return self->answer();
      self->on_side([](Pass& pass) { pass.delete_some_on_side(); });
    });
  }

  // The fence is looked at before each few: one that was stopped for a while and taken over deletes nothing any more.
  void delete_some_on_side() {
    if (const Status status = check_fence(backends_.store, boot_); !status.ok()) return end_after(status);
    for (std::size_t n = 0; n < kDeletionsAtOnce && deleted_ < piece_.garbage.size(); ++n) {
      const Status status = delete_garbage(backends_.store, piece_.garbage[deleted_]);
      if (!status.ok()) return end_after(status);
      ++deleted_;
    }
    if (deleted_ == piece_.garbage.size()) return answer();
    on_side([](Pass& pass) { pass.delete_some_on_side(); });
  }

  void answer() {
    const ApiResponse response{200, "application/json", dump(garbage_json(piece_, cluster_, request_.dry_run))};
    end(response);
  }
  void end_after(const Status& status) {
    end(problem_of({status.code(), status.message() + "; before that, " + std::to_string(deleted_) + " of " +
                                       std::to_string(piece_.garbage.size()) + " were deleted"}));
  }
  // The next gc may begin before this one's client hears of its end.
  void end(const ApiResponse& response) {
    if (begun_) backends_.collecting = false;
    begun_ = false;
    done_(response);
  }

  const Backends backends_;
  const GarbageRequest request_;
  const Done done_;
  bool begun_ = false;
  std::uint64_t cluster_ = 0, boot_ = 0;
  GarbageListing listing_;
  GarbagePiece piece_;
  std::size_t deleted_ = 0;
};

}  // namespace

void collect_garbage(const Backends& backends, const std::string& body, const Done& done) {
  Result<GarbageRequest> request = parse_garbage_request(body);
  if (!request.ok()) return done(problem_of(request.status()));
  std::make_shared<Pass>(backends, std::move(*request), std::move(done))->run();
}

}  // namespace modelhop
