#include "fuse_session.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>
#include <uv.h>

#include <array>
#include <utility>

#include "fuse_abi.h"
#include "fuse_abi_file.h"
#include "fuse_abi_notify.h"
#include "napi_util.h"

namespace dfs {
namespace {

// Requests handed over in one turn of the loop; timers and sockets get theirs in between.
constexpr int kRequestsPerWake = 64;
constexpr size_t kPageBytes = 4096;
constexpr IntegerRange kSlotCountRange{1, 4096};
constexpr IntegerRange kSlotBytesRange{fuse_abi::kMinReadBytes, 64 << 20};
constexpr IntegerRange kReplyBytesRange{sizeof(fuse_abi::OutHeader), 64 << 20};

// An ArrayBuffer over part of a mapping, which stays mapped for as long as either lives.
Napi::ArrayBuffer ShowMapping(Napi::Env env, std::span<std::byte> part,
                              std::shared_ptr<Mapping> mapping) {
  using Hold = std::shared_ptr<Mapping>;
  auto hold = std::make_unique<Hold>(std::move(mapping));
  return Napi::ArrayBuffer::New(
      env, part.data(), part.size(),
      [](Napi::Env, void*, Hold* held) { std::unique_ptr<Hold> release(held); }, hold.release());
}

// @returns 0 or a positive errno
int WriteReply(int fd, std::span<const iovec> parts) {
  if (fd < 0) return EBADF;
  size_t length = 0;
  for (const iovec& part : parts) length += part.iov_len;
  ssize_t written = 0;
  do {
    written = writev(fd, parts.data(), static_cast<int>(parts.size()));
  } while (written < 0 && errno == EINTR);
  if (written < 0) return errno;
  return static_cast<size_t>(written) == length ? 0 : EIO;
}

}  // namespace

struct FuseSession::Poll {
  uv_poll_t handle;
  napi_async_cleanup_hook_handle cleanup = nullptr;
  // Null once the session has let go and only the loop's close callback is awaited.
  FuseSession* session = nullptr;

  static void OnEvent(uv_poll_t* handle, int status, int) {
    auto* poll = static_cast<Poll*>(handle->data);
    if (poll->session != nullptr) poll->session->Drain(status < 0);
  }

  static void OnTeardown(napi_async_cleanup_hook_handle, void* data) {
    auto* poll = static_cast<Poll*>(data);
    if (poll->session != nullptr) poll->session->Close();
  }

  static void OnClosed(uv_handle_t* handle) {
    std::unique_ptr<Poll> poll(static_cast<Poll*>(handle->data));
    napi_remove_async_cleanup_hook(poll->cleanup);
  }
};

std::shared_ptr<Mapping> Mapping::Make(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  return std::make_shared<Mapping>(std::span(static_cast<std::byte*>(memory), bytes));
}

Mapping::~Mapping() { munmap(memory_.data(), memory_.size()); }

void FuseSession::Init(Napi::Env env, Napi::Object exports) {
  exports.Set("FuseSession",
              DefineClass(env, "FuseSession",
                          {
                              InstanceMethod<&FuseSession::Start>("start"),
                              InstanceMethod<&FuseSession::Send>("send"),
                              InstanceMethod<&FuseSession::SendPayload>("sendPayload"),
                              InstanceMethod<&FuseSession::KeepSlot>("keepSlot"),
                              InstanceMethod<&FuseSession::ReleaseSlot>("releaseSlot"),
                              InstanceMethod<&FuseSession::CloseMethod>("close"),
                          }));
}

FuseSession::FuseSession(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  if (!info[0].IsObject()) {
    Napi::TypeError::New(Env(), "options must be an object").ThrowAsJavaScriptException();
    return;
  }
  Napi::Object options = info[0].As<Napi::Object>();
  const auto fd = ToInteger(options.Get("fd"), "fd", kInt32Range);
  if (!fd) return;
  const auto slot_count = ToInteger(options.Get("slotCount"), "slotCount", kSlotCountRange);
  if (!slot_count) return;
  const auto slot_bytes = ToInteger(options.Get("slotBytes"), "slotBytes", kSlotBytesRange);
  if (!slot_bytes) return;
  const auto reply_bytes = ToInteger(options.Get("replyBytes"), "replyBytes", kReplyBytesRange);
  if (!reply_bytes) return;
  Napi::Value on_request = options.Get("onRequest");
  Napi::Value on_end = options.Get("onEnd");
  if (!on_request.IsFunction() || !on_end.IsFunction()) {
    Napi::TypeError::New(Env(), "onRequest and onEnd must be functions")
        .ThrowAsJavaScriptException();
    return;
  }
  const int flags = fcntl(static_cast<int>(*fd), F_GETFL);
  if (flags < 0 || fcntl(static_cast<int>(*fd), F_SETFL, flags | O_NONBLOCK) < 0 ||
      fcntl(static_cast<int>(*fd), F_SETFD, FD_CLOEXEC) < 0) {
    ThrowErrno(Env(), errno, "fcntl");
    return;
  }
  slot_count_ = static_cast<size_t>(*slot_count);
  slot_bytes_ = static_cast<size_t>(*slot_bytes);
  reply_bytes_ = static_cast<size_t>(*reply_bytes);
  if (!MakeBuffers(info.This().As<Napi::Object>())) return;
  states_.assign(slot_count_, SlotState::kFree);
  for (size_t slot = slot_count_; slot > 0; --slot) {
    free_.push_back(static_cast<uint32_t>(slot - 1));
  }
  options_ = Napi::Persistent(options);
  on_request_ = Napi::Persistent(on_request.As<Napi::Function>());
  on_end_ = Napi::Persistent(on_end.As<Napi::Function>());
  fd_ = static_cast<int>(*fd);
}

FuseSession::~FuseSession() { Close(); }

// The data of a WRITE is page aligned in its slot (as O_DIRECT wants it) while slotBytes is a
// multiple of the page.
bool FuseSession::MakeBuffers(Napi::Object self) {
  slots_ = Mapping::Make((slot_count_ + 1) * slot_bytes_ + kPageBytes);
  reply_ = slots_ == nullptr ? nullptr : Mapping::Make(reply_bytes_);
  if (reply_ == nullptr) {
    ThrowErrno(Env(), errno, "mmap");
    return false;
  }
  slots_start_ = slots_->data() + kPageBytes - fuse_abi::kWriteDataOffset;
  const auto define = [&](const char* name, std::span<std::byte> part,
                          const std::shared_ptr<Mapping>& mapping) {
    self.DefineProperty(Napi::PropertyDescriptor::Value(name, ShowMapping(Env(), part, mapping),
                                                        napi_enumerable));
    return !Env().IsExceptionPending();
  };
  return define("slots", {slots_start_, slot_count_ * slot_bytes_}, slots_) &&
         define("reply", {reply_->data(), reply_bytes_}, reply_);
}

void FuseSession::Start(const Napi::CallbackInfo&) {
  if (fd_ < 0 || ended_) {
    SystemError(Env(), EBADF, "start", "the session is over").ThrowAsJavaScriptException();
    return;
  }
  if (poll_ != nullptr || !OpenPoll()) return;
  Ref();
  WatchFor(free_.empty() ? Watch::kEndOnly : Watch::kRequests);
}

bool FuseSession::OpenPoll() {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(Env(), &loop) != napi_ok) {
    Napi::Error::New(Env(), "this environment has no event loop").ThrowAsJavaScriptException();
    return false;
  }
  auto poll = std::make_unique<Poll>();
  const int status = uv_poll_init(loop, &poll->handle, fd_);
  if (status != 0) {
    ThrowErrno(Env(), -status, "epoll_ctl");
    return false;
  }
  poll->handle.data = poll.get();
  poll->session = this;
  napi_add_async_cleanup_hook(Env(), Poll::OnTeardown, poll.get(), &poll->cleanup);
  poll_ = poll.release();
  return true;
}

void FuseSession::ClosePoll() {
  if (poll_ == nullptr) return;
  Poll* poll = std::exchange(poll_, nullptr);
  poll->session = nullptr;
  // Leaves epoll at once, so that the descriptor may be closed before the callback.
  uv_close(reinterpret_cast<uv_handle_t*>(&poll->handle), Poll::OnClosed);
  Unref();
}

// UV_DISCONNECT never fires on /dev/fuse: it stands for "errors only", keeps the loop alive and
// still notices an unmount or abort.
void FuseSession::WatchFor(Watch watch) {
  watch_ = watch;
  uv_poll_start(&poll_->handle, watch == Watch::kRequests ? UV_READABLE : UV_DISCONNECT,
                Poll::OnEvent);
}

void FuseSession::Drain(bool failed) {
  if (draining_) return;
  Napi::HandleScope scope(Env());
  // onRequest may close the session; this handle keeps the object until the loop below is left.
  [[maybe_unused]] const Napi::Object self = Value();
  draining_ = true;
  Received received = Received::kRequest;
  for (int left = kRequestsPerWake; left > 0 && poll_ != nullptr; --left) {
    received = ReceiveOne(failed);
    if (received == Received::kNothing || received == Received::kEnded) break;
  }
  draining_ = false;
  if (poll_ == nullptr) return;
  if (failed && received == Received::kNothing) {
    End(EIO);
  } else if (free_.empty()) {
    WatchFor(Watch::kEndOnly);
  } else if (failed || watch_ == Watch::kEndOnly) {
    WatchFor(Watch::kRequests);
  }
}

FuseSession::Received FuseSession::ReceiveOne(bool failed) {
  const bool full = free_.empty();
  if (full && !failed) return Received::kNothing;
  const size_t slot = full ? slot_count_ : free_.back();
  const ssize_t length = read(fd_, SlotData(slot), slot_bytes_);
  if (length > 0 && !full) {
    Deliver(static_cast<uint32_t>(slot), static_cast<size_t>(length));
    return Received::kRequest;
  }
  const int error = length > 0 ? EIO : length == 0 ? ENODEV : errno;
  if (error == EAGAIN) return Received::kNothing;
  // ENOENT: the request was taken back while it was being copied.
  if (error == EINTR || error == ENOENT) return Received::kRetry;
  End(error);
  return Received::kEnded;
}

void FuseSession::Deliver(uint32_t slot, size_t length) {
  free_.pop_back();
  states_[slot] = SlotState::kDelivering;
  const std::array<napi_value, 2> arguments{
      Napi::Number::New(Env(), slot), Napi::Number::New(Env(), static_cast<double>(length))};
  Call(on_request_, arguments);
  if (states_[slot] != SlotState::kDelivering) return;
  states_[slot] = SlotState::kFree;
  free_.push_back(slot);
}

// With a callback scope of its own: next-tick callbacks and promise reactions have run when it
// returns. What it throws becomes an uncaughtException, and the session goes on.
void FuseSession::Call(const Napi::FunctionReference& function,
                       std::span<const napi_value> arguments) {
  const napi_status status = napi_make_callback(Env(), nullptr, options_.Value(), function.Value(),
                                                arguments.size(), arguments.data(), nullptr);
  if (status != napi_pending_exception) return;
  napi_value exception = nullptr;
  if (napi_get_and_clear_last_exception(Env(), &exception) != napi_ok) return;
  napi_fatal_exception(Env(), exception);
}

void FuseSession::End(int error) {
  ended_ = true;
  ClosePoll();
  const std::array<napi_value, 1> arguments{Napi::Number::New(Env(), error)};
  Call(on_end_, arguments);
}

void FuseSession::Close() {
  ended_ = true;
  ClosePoll();
  if (fd_ >= 0) close(std::exchange(fd_, -1));
  // The callbacks usually refer to the session: without this neither could be collected.
  options_.Reset();
  on_request_.Reset();
  on_end_.Reset();
}

void FuseSession::CloseMethod(const Napi::CallbackInfo&) { Close(); }

Napi::Value FuseSession::Send(const Napi::CallbackInfo& info) {
  const IntegerRange range{sizeof(fuse_abi::OutHeader), static_cast<int64_t>(reply_bytes_)};
  const auto length = ToInteger(info[0], "length", range);
  if (!length) return {};
  const std::array<iovec, 1> parts{iovec{reply_->data(), static_cast<size_t>(*length)}};
  return Napi::Number::New(Env(), WriteReply(fd_, parts));
}

Napi::Value FuseSession::SendPayload(const Napi::CallbackInfo& info) {
  const auto payload = ToBytes(info[0], "payload");
  if (!payload) return {};
  const std::array<iovec, 2> parts{iovec{reply_->data(), sizeof(fuse_abi::OutHeader)},
                                   iovec{payload->data(), payload->size()}};
  return Napi::Number::New(Env(), WriteReply(fd_, parts));
}

void FuseSession::KeepSlot(const Napi::CallbackInfo& info) {
  const IntegerRange range{0, static_cast<int64_t>(slot_count_) - 1};
  const auto slot = ToInteger(info[0], "slot", range);
  if (!slot) return;
  SlotState& state = states_[static_cast<size_t>(*slot)];
  if (state == SlotState::kFree) {
    Napi::RangeError::New(Env(), "slot " + std::to_string(*slot) + " holds no request")
        .ThrowAsJavaScriptException();
    return;
  }
  state = SlotState::kKept;
}

// Also after the end: what waited for something else still gives its slot back then.
void FuseSession::ReleaseSlot(const Napi::CallbackInfo& info) {
  const IntegerRange range{0, static_cast<int64_t>(slot_count_) - 1};
  const auto slot = ToInteger(info[0], "slot", range);
  if (!slot) return;
  SlotState& state = states_[static_cast<size_t>(*slot)];
  if (state != SlotState::kKept) {
    Napi::RangeError::New(Env(), "slot " + std::to_string(*slot) + " is not kept")
        .ThrowAsJavaScriptException();
    return;
  }
  state = SlotState::kFree;
  free_.push_back(static_cast<uint32_t>(*slot));
  if (poll_ != nullptr && watch_ == Watch::kEndOnly && !draining_) WatchFor(Watch::kRequests);
}

}  // namespace dfs
