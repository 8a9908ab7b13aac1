#include "guardian_purge.h"

#include <algorithm>
#include <chrono>

#include "threads.h"

namespace dfs {
namespace {

constexpr int kThreadsFirst = 8;
// Each may be kept by a request that the node has not answered; behind the last one the rest waits.
constexpr int kThreadsMax = 256;
// When nothing has moved for so long, there are twice as many.
constexpr std::chrono::milliseconds kStuck{20};

}  // namespace

void Purge::Run() {
  RunQuick();
  if (!ForgetData()) return;
  mount_->Set(kernel_cache::kPurgedLeaseEndMs, lease_end_ms_);
  mount_->Set(kernel_cache::kPurges, mount_->Get(kernel_cache::kPurges) + 1);
}

void Purge::RunQuick() {
  if (IsWanted()) mount_->ForgetNames();
  for (uint64_t slot = 0; slot < used_ && IsWanted(); ++slot) {
    if (const uint64_t ino = mount_->Slot(slot); ino != 0) mount_->ForgetAttributes(ino);
  }
}

bool Purge::ForgetData() {
  std::unique_lock lock(mutex_);
  StartThreads(kThreadsFirst);
  uint64_t before = next_slot_;
  while (running_ > 0 && IsWanted()) {
    ended_.wait_for(lock, kStuck);
    const uint64_t now = next_slot_;
    if (now == before && now < used_) StartThreads(std::min(started_, kThreadsMax - started_));
    before = now;
  }
  // Some may have ended because there was no need any more, or never begun.
  return IsWanted() && next_slot_ >= used_;
}

// With the lock held.
void Purge::StartThreads(int count) {
  for (int left = count; left > 0; --left) {
    if (!StartThread("dfs-purge-data", [self = shared_from_this()] { self->Work(); })) return;
    running_ += 1;
    started_ += 1;
  }
}

void Purge::Work() {
  for (uint64_t slot = next_slot_++; slot < used_ && IsWanted(); slot = next_slot_++) {
    if (const uint64_t ino = mount_->Slot(slot); ino != 0) mount_->ForgetData(ino);
  }
  const std::lock_guard lock(mutex_);
  running_ -= 1;
  ended_.notify_all();
}

}  // namespace dfs
