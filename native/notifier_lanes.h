// The threads behind FuseNotifier, without JavaScript. They outlive the object that made them when
// the kernel keeps one of them in write(2); the last one closes the descriptor.
#ifndef DFS_NATIVE_NOTIFIER_LANES_H_
#define DFS_NATIVE_NOTIFIER_LANES_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace dfs {

struct NotificationDone {
  uint64_t number;
  // 0 or a positive errno.
  int error;
};

class NotifierLanes : public std::enable_shared_from_this<NotifierLanes> {
 public:
  // Owns `fd`. `wake` is called on a thread of a lane when TakeDone has something new; never after
  // Close has returned.
  NotifierLanes(int fd, std::function<void()> wake) : fd_(fd), wake_(std::move(wake)) {}
  NotifierLanes(const NotifierLanes&) = delete;
  NotifierLanes& operator=(const NotifierLanes&) = delete;
  ~NotifierLanes();

  // `unread`: the message ends with one byte more, which the kernel fails to read (EFAULT).
  void Send(uint64_t number, bool may_block, std::vector<std::byte> message, bool unread = false);
  std::vector<NotificationDone> TakeDone();
  // What was not written yet never will be. Does not wait for what the kernel has.
  void Close();

 private:
  struct Notification {
    uint64_t number;
    std::vector<std::byte> message;
    bool unread;
  };
  struct Lane {
    std::deque<Notification> queue;
    std::condition_variable arrived;
    int threads = 0;
    int idle = 0;
    int threads_max = 1;
  };

  void Work(Lane& lane);
  void Finish(uint64_t number, int error);

  const int fd_;
  std::mutex mutex_;
  std::function<void()> wake_;
  bool closed_ = false;
  std::vector<NotificationDone> done_;
  Lane quick_;
  Lane blocking_{.queue = {}, .arrived = {}, .threads = 0, .idle = 0, .threads_max = 16};
};

}  // namespace dfs

#endif  // DFS_NATIVE_NOTIFIER_LANES_H_
