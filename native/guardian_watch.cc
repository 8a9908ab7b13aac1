#include "guardian_watch.h"

#include <unistd.h>

#include <algorithm>

#include "guardian_files.h"
#include "guardian_purge.h"
#include "threads.h"

namespace dfs {
namespace {

// What a mount does is noticed within this.
constexpr long long kTurnMs = 200;
// A purge may hold up the end of this process for so long.
constexpr int kEndSteps = 100;
constexpr useconds_t kEndStepUs = 10'000;

}  // namespace

CacheWatch::~CacheWatch() {
  if (mount_ == nullptr) return;
  mount_->Set(kernel_cache::kWatcher, 0);
  for (int step = 0; step < kEndSteps && mount_.use_count() > 1; ++step) usleep(kEndStepUs);
  // A thread that the kernel keeps would keep this process, its lock and the connection.
  if (mount_.use_count() > 1) mount_->Abort();
}

void CacheWatch::Turn(pid_t node) {
  LetGo(node);
  if (mount_ == nullptr && node != 0) {
    mount_ = WatchedMount::Open(path_, node);
    begun_ms_ = 0;
  }
  if (mount_ == nullptr) return;
  const auto now_ms = static_cast<uint64_t>(BootMs());
  mount_->Set(kernel_cache::kWatchedMs, now_ms);
  mount_->Set(kernel_cache::kWatcher, static_cast<uint64_t>(getpid()));
  const uint64_t end_ms = mount_->Get(kernel_cache::kLeaseEndMs);
  if (!IsPurgeAhead(end_ms) || now_ms < end_ms) return;
  const auto purge = std::make_shared<Purge>(mount_, end_ms);
  if (!StartThread("dfs-purge", [purge] { purge->Run(); })) return;
  begun_ms_ = end_ms;
  Log("warn", "it is silent past the end of its leases: the kernel forgets", "node");
}

long long CacheWatch::due_ms() const {
  if (mount_ == nullptr) return -1;
  const long long now_ms = BootMs();
  const uint64_t end_ms = mount_->Get(kernel_cache::kLeaseEndMs);
  const long long turn_ms = now_ms + kTurnMs;
  // One that could not be begun is tried again in the next turn.
  if (!IsPurgeAhead(end_ms) || end_ms <= static_cast<uint64_t>(now_ms)) return turn_ms;
  return static_cast<long long>(std::min<uint64_t>(end_ms, turn_ms));
}

bool CacheWatch::IsPurgeAhead(uint64_t lease_end_ms) const {
  return lease_end_ms != 0 && lease_end_ms != begun_ms_ &&
         lease_end_ms != mount_->Get(kernel_cache::kPurgedLeaseEndMs);
}

// A descriptor held for no reason would hold the connection.
void CacheWatch::LetGo(pid_t node) {
  if (mount_ == nullptr) return;
  if (!mount_->HasEnded() && mount_->HasLost(node)) Bury();
  if (mount_ != nullptr && (mount_->HasEnded() || !mount_->IsAt(path_))) mount_.reset();
}

// The node died. Its last threads, and those of a purge, may wait in the kernel for answers that
// nobody gives any more: that ends first. Then nothing waits, and programs that have files open must
// not go on reading what was cached.
void CacheWatch::Bury() {
  const bool aborted = mount_->Abort();
  if (!aborted) Log("info", "its connection ends by itself", "node");
  const auto purge = std::make_shared<Purge>(mount_, mount_->Get(kernel_cache::kLeaseEndMs));
  StartThread("dfs-purge", [purge, aborted] { aborted ? purge->Run() : purge->RunQuick(); });
  mount_.reset();
}

}  // namespace dfs
