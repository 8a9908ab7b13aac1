// One /dev/fuse descriptor served from an event loop: requests come out of it as calls of
// onRequest(slot, length), replies go in through send. It moves bytes; what they mean is decided
// in JavaScript.
//
// All methods run on the thread of the environment that made the session. Memory: one mapping of
// slotCount + 1 slots and one for replies, made once, shared by the session and the ArrayBuffers
// that show it. The extra slot lies behind what JavaScript sees: while every slot is kept it takes
// the read that tells how the connection ended.
//
// Life: start() makes the poll handle and keeps the object alive; the end of the connection or
// close() gives both up. A poll handle belongs to the loop until its close callback, so it lives
// on the heap and only points back here while the session is open.
#ifndef DFS_NATIVE_FUSE_SESSION_H_
#define DFS_NATIVE_FUSE_SESSION_H_

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace dfs {

// Anonymous memory, zero pages until touched.
class Mapping {
 public:
  // @returns nullptr with errno set when the kernel refuses
  static std::shared_ptr<Mapping> Make(size_t bytes);
  explicit Mapping(std::span<std::byte> memory) : memory_(memory) {}
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();
  std::byte* data() const { return memory_.data(); }

 private:
  std::span<std::byte> memory_;
};

class FuseSession : public Napi::ObjectWrap<FuseSession> {
 public:
  static void Init(Napi::Env env, Napi::Object exports);
  explicit FuseSession(const Napi::CallbackInfo& info);
  ~FuseSession() override;

 private:
  struct Poll;
  enum class SlotState : uint8_t { kFree, kDelivering, kKept };
  // What the poll handle waits for; the end of the connection is always noticed.
  enum class Watch { kRequests, kEndOnly };

  void Start(const Napi::CallbackInfo& info);
  Napi::Value Send(const Napi::CallbackInfo& info);
  Napi::Value SendPayload(const Napi::CallbackInfo& info);
  void KeepSlot(const Napi::CallbackInfo& info);
  void ReleaseSlot(const Napi::CallbackInfo& info);
  void CloseMethod(const Napi::CallbackInfo& info);

  bool MakeBuffers(Napi::Object self);
  bool OpenPoll();
  void ClosePoll();
  void WatchFor(Watch watch);
  // `failed`: the loop reported an error on the descriptor and has stopped watching it.
  void Drain(bool failed);
  // What became of one read.
  enum class Received { kRequest, kRetry, kNothing, kEnded };
  Received ReceiveOne(bool failed);
  void Deliver(uint32_t slot, size_t length);
  void End(int error);
  void Close();
  void Call(const Napi::FunctionReference& function, std::span<const napi_value> arguments);
  std::byte* SlotData(size_t slot) const { return slots_start_ + slot * slot_bytes_; }

  int fd_ = -1;
  size_t slot_count_ = 0;
  size_t slot_bytes_ = 0;
  size_t reply_bytes_ = 0;
  std::shared_ptr<Mapping> slots_;
  std::byte* slots_start_ = nullptr;
  std::shared_ptr<Mapping> reply_;
  std::vector<SlotState> states_;
  // Last freed first, so that the memory in use stays warm.
  std::vector<uint32_t> free_;
  Napi::ObjectReference options_;
  Napi::FunctionReference on_request_;
  Napi::FunctionReference on_end_;
  Poll* poll_ = nullptr;
  Watch watch_ = Watch::kRequests;
  bool draining_ = false;
  bool ended_ = false;
};

}  // namespace dfs

#endif  // DFS_NATIVE_FUSE_SESSION_H_
