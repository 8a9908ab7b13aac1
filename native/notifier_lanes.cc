#include "notifier_lanes.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <utility>

#include "threads.h"

namespace dfs {
namespace {

// A thread without work ends after so long.
constexpr std::chrono::seconds kIdle{5};

int Write(int fd, std::vector<std::byte>& message, bool unread) {
  const std::array<iovec, 2> parts{{{message.data(), message.size()}, {nullptr, 1}}};
  ssize_t written = 0;
  do {
    written = writev(fd, parts.data(), unread ? 2 : 1);
  } while (written < 0 && errno == EINTR);
  return written < 0 ? errno : 0;
}

}  // namespace

NotifierLanes::~NotifierLanes() { close(fd_); }

void NotifierLanes::Send(uint64_t number, bool may_block, std::vector<std::byte> message,
                         bool unread) {
  const std::lock_guard lock(mutex_);
  Lane& lane = may_block ? blocking_ : quick_;
  lane.queue.push_back({number, std::move(message), unread});
  if (lane.idle >= static_cast<int>(lane.queue.size()) || lane.threads == lane.threads_max) {
    lane.arrived.notify_one();
    return;
  }
  lane.threads += 1;
  if (StartThread("dfs-notify", [self = shared_from_this(), &lane] { self->Work(lane); })) return;
  lane.threads -= 1;
  // Those that there are do it in turn.
  if (lane.threads > 0) return;
  lane.queue.pop_back();
  Finish(number, EAGAIN);
}

std::vector<NotificationDone> NotifierLanes::TakeDone() {
  const std::lock_guard lock(mutex_);
  return std::exchange(done_, {});
}

void NotifierLanes::Close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  for (Lane* lane : {&quick_, &blocking_}) {
    lane->queue.clear();
    lane->arrived.notify_all();
  }
}

void NotifierLanes::Work(Lane& lane) {
  std::unique_lock lock(mutex_);
  for (;;) {
    lane.idle += 1;
    const bool busy = lane.arrived.wait_for(
        lock, kIdle, [&] { return closed_ || !lane.queue.empty(); });
    lane.idle -= 1;
    if (closed_ || !busy) break;
    Notification next = std::move(lane.queue.front());
    lane.queue.pop_front();
    lock.unlock();
    const int error = Write(fd_, next.message, next.unread);
    lock.lock();
    if (closed_) break;
    Finish(next.number, error);
  }
  lane.threads -= 1;
}

// With the lock held.
void NotifierLanes::Finish(uint64_t number, int error) {
  done_.push_back({number, error});
  if (done_.size() == 1) wake_();
}

}  // namespace dfs
