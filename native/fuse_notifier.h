// Tells the kernel to forget what it caches of a mount. A notification may wait for the answer to a
// request, so none is ever written on the thread of the event loop or in libuv's pool: each lane
// has threads of its own. Those of the first never block (attributes, all names at once); of the
// second there are as many as are blocked at a time, within limits.
//
// Life: the object stays while something waits for the kernel; the event loop goes on for just as
// long. The handle that wakes the loop belongs to it until the close callback, so it lives on the
// heap and only points back here while the notifier is open.
#ifndef DFS_NATIVE_FUSE_NOTIFIER_H_
#define DFS_NATIVE_FUSE_NOTIFIER_H_

#include <napi.h>

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace dfs {

class NotifierLanes;

class FuseNotifier : public Napi::ObjectWrap<FuseNotifier> {
 public:
  static void Init(Napi::Env env, Napi::Object exports);
  explicit FuseNotifier(const Napi::CallbackInfo& info);
  ~FuseNotifier() override;

 private:
  struct Wake;
  struct Waiting {
    Napi::Promise::Deferred promise;
    double since_ms;
  };

  Napi::Value InvalInode(const Napi::CallbackInfo& info);
  Napi::Value InvalEntry(const Napi::CallbackInfo& info);
  Napi::Value Extend(const Napi::CallbackInfo& info);
  Napi::Value IncEpoch(const Napi::CallbackInfo& info);
  Napi::Value Busy(const Napi::CallbackInfo& info);
  Napi::Value OldestMs(const Napi::CallbackInfo& info);
  void CloseMethod(const Napi::CallbackInfo& info);

  bool OpenWake();
  Napi::Value Send(bool may_block, std::vector<std::byte> message, bool unread = false);
  // Resolves what the kernel has answered.
  void Collect();
  // Nothing is written any more; what waits stays without an answer.
  void Close();

  std::shared_ptr<NotifierLanes> lanes_;
  // By number, so that the oldest comes first.
  std::map<uint64_t, Waiting> waiting_;
  uint64_t next_ = 1;
  Wake* wake_ = nullptr;
};

}  // namespace dfs

#endif  // DFS_NATIVE_FUSE_NOTIFIER_H_
