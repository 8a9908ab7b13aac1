#include "fuse_notifier.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <uv.h>

#include <span>
#include <utility>

#include "fuse_abi.h"
#include "fuse_abi_notify.h"
#include "napi_util.h"
#include "notifier_lanes.h"

namespace dfs {
namespace {

using fuse_abi::NotifyInvalEntryOut;
using fuse_abi::NotifyInvalInodeOut;
using fuse_abi::NotifyStoreOut;
using fuse_abi::OutHeader;

// FUSE_NOTIFY_*: the code stands where a reply has its error.
constexpr int32_t kInvalInode = 2;
constexpr int32_t kInvalEntry = 3;
constexpr int32_t kStore = 4;
constexpr int32_t kIncEpoch = 8;

constexpr IntegerRange kInoRange{1, kMaxSafeInteger};
constexpr IntegerRange kSizeRange{1, kMaxSafeInteger};
// -1: attributes only.
constexpr IntegerRange kInvalOffsetRange{-1, kMaxSafeInteger};

void Append(std::vector<std::byte>& message, const void* data, size_t length) {
  const auto* bytes = static_cast<const std::byte*>(data);
  message.insert(message.end(), bytes, bytes + length);
}

// `unread`: bytes that follow and are not part of it.
std::vector<std::byte> Message(int32_t code, std::span<const std::byte> body,
                               std::span<const std::byte> name = {}, size_t unread = 0) {
  OutHeader header{};
  const size_t terminator = name.empty() ? 0 : 1;
  const size_t length = sizeof(header) + body.size() + name.size() + terminator;
  header.len = static_cast<uint32_t>(length + unread);
  header.error = code;
  std::vector<std::byte> message;
  message.reserve(length);
  Append(message, &header, sizeof(header));
  Append(message, body.data(), body.size());
  if (name.empty()) return message;
  Append(message, name.data(), name.size());
  message.push_back(std::byte{0});
  return message;
}

template <typename T>
std::span<const std::byte> BytesOf(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

double BootMs() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

}  // namespace

struct FuseNotifier::Wake {
  uv_async_t handle;
  napi_async_cleanup_hook_handle cleanup = nullptr;
  // Null once the notifier has let go and only the loop's close callback is awaited.
  FuseNotifier* notifier = nullptr;

  static void OnWake(uv_async_t* handle) {
    auto* wake = static_cast<Wake*>(handle->data);
    if (wake->notifier != nullptr) wake->notifier->Collect();
  }

  static void OnTeardown(napi_async_cleanup_hook_handle, void* data) {
    auto* wake = static_cast<Wake*>(data);
    if (wake->notifier != nullptr) wake->notifier->Close();
  }

  static void OnClosed(uv_handle_t* handle) {
    std::unique_ptr<Wake> wake(static_cast<Wake*>(handle->data));
    napi_remove_async_cleanup_hook(wake->cleanup);
  }
};

void FuseNotifier::Init(Napi::Env env, Napi::Object exports) {
  exports.Set("FuseNotifier",
              DefineClass(env, "FuseNotifier",
                          {
                              InstanceMethod<&FuseNotifier::InvalInode>("invalInode"),
                              InstanceMethod<&FuseNotifier::InvalEntry>("invalEntry"),
                              InstanceMethod<&FuseNotifier::Extend>("extend"),
                              InstanceMethod<&FuseNotifier::IncEpoch>("incEpoch"),
                              InstanceAccessor<&FuseNotifier::Busy>("busy"),
                              InstanceAccessor<&FuseNotifier::OldestMs>("oldestMs"),
                              InstanceMethod<&FuseNotifier::CloseMethod>("close"),
                          }));
}

FuseNotifier::FuseNotifier(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  if (!info[0].IsObject()) {
    Napi::TypeError::New(Env(), "options must be an object").ThrowAsJavaScriptException();
    return;
  }
  const auto fd = ToInteger(info[0].As<Napi::Object>().Get("fd"), "fd", kInt32Range);
  if (!fd || !OpenWake()) return;
  const int own = fcntl(static_cast<int>(*fd), F_DUPFD_CLOEXEC, 0);
  if (own < 0) {
    ThrowErrno(Env(), errno, "fcntl");
    return;
  }
  // Called under the lock that NotifierLanes::Close takes, so never once the handle is closing.
  lanes_ = std::make_shared<NotifierLanes>(own, [wake = wake_] { uv_async_send(&wake->handle); });
}

FuseNotifier::~FuseNotifier() { Close(); }

bool FuseNotifier::OpenWake() {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(Env(), &loop) != napi_ok) {
    Napi::Error::New(Env(), "this environment has no event loop").ThrowAsJavaScriptException();
    return false;
  }
  auto wake = std::make_unique<Wake>();
  const int status = uv_async_init(loop, &wake->handle, Wake::OnWake);
  if (status != 0) {
    ThrowErrno(Env(), -status, "eventfd");
    return false;
  }
  uv_unref(reinterpret_cast<uv_handle_t*>(&wake->handle));
  wake->handle.data = wake.get();
  wake->notifier = this;
  napi_add_async_cleanup_hook(Env(), Wake::OnTeardown, wake.get(), &wake->cleanup);
  wake_ = wake.release();
  return true;
}

Napi::Value FuseNotifier::InvalInode(const Napi::CallbackInfo& info) {
  const auto ino = ToInteger(info[0], "ino", kInoRange);
  if (!ino) return {};
  const auto offset = ToInteger(info[1], "offset", kInvalOffsetRange);
  if (!offset) return {};
  const auto length = ToInteger(info[2], "length", kOffsetRange);
  if (!length) return {};
  NotifyInvalInodeOut body{};
  body.ino = static_cast<uint64_t>(*ino);
  body.off = *offset;
  body.len = *length;
  return Send(*offset >= 0, Message(kInvalInode, BytesOf(body)));
}

Napi::Value FuseNotifier::InvalEntry(const Napi::CallbackInfo& info) {
  const auto parent = ToInteger(info[0], "parent", kInoRange);
  if (!parent) return {};
  const auto name = ToBytes(info[1], "name");
  if (!name) return {};
  if (name->empty()) {
    Napi::RangeError::New(info.Env(), "name is empty").ThrowAsJavaScriptException();
    return {};
  }
  NotifyInvalEntryOut body{};
  body.parent = static_cast<uint64_t>(*parent);
  body.namelen = static_cast<uint32_t>(name->size());
  return Send(true, Message(kInvalEntry, BytesOf(body), *name));
}

// A store of the last byte, which the kernel cannot read: it raises the size before it looks at the
// data, and then leaves the page as it was.
Napi::Value FuseNotifier::Extend(const Napi::CallbackInfo& info) {
  const auto ino = ToInteger(info[0], "ino", kInoRange);
  if (!ino) return {};
  const auto size = ToInteger(info[1], "size", kSizeRange);
  if (!size) return {};
  NotifyStoreOut body{};
  body.nodeid = static_cast<uint64_t>(*ino);
  body.offset = static_cast<uint64_t>(*size - 1);
  body.size = 1;
  return Send(true, Message(kStore, BytesOf(body), {}, body.size), true);
}

Napi::Value FuseNotifier::IncEpoch(const Napi::CallbackInfo&) {
  return Send(false, Message(kIncEpoch, {}));
}

Napi::Value FuseNotifier::Busy(const Napi::CallbackInfo&) {
  return Napi::Number::New(Env(), static_cast<double>(waiting_.size()));
}

Napi::Value FuseNotifier::OldestMs(const Napi::CallbackInfo&) {
  const double ms = waiting_.empty() ? 0 : BootMs() - waiting_.begin()->second.since_ms;
  return Napi::Number::New(Env(), ms);
}

Napi::Value FuseNotifier::Send(bool may_block, std::vector<std::byte> message, bool unread) {
  const auto promise = Napi::Promise::Deferred::New(Env());
  if (wake_ == nullptr) {
    promise.Resolve(Napi::Number::New(Env(), ENODEV));
    return promise.Promise();
  }
  if (waiting_.empty()) {
    Ref();
    uv_ref(reinterpret_cast<uv_handle_t*>(&wake_->handle));
  }
  const uint64_t number = next_++;
  waiting_.emplace(number, Waiting{promise, BootMs()});
  lanes_->Send(number, may_block, std::move(message), unread);
  return promise.Promise();
}

// In a callback scope: what is resolved has been reacted to when it ends.
void FuseNotifier::Collect() {
  const Napi::HandleScope handles(Env());
  // A reaction may close the notifier and drop it.
  [[maybe_unused]] const Napi::Object self = Value();
  const Napi::AsyncContext context(Env(), "dfs notifier");
  const Napi::CallbackScope scope(Env(), context);
  const bool waited = !waiting_.empty();
  for (const auto& [number, error] : lanes_->TakeDone()) {
    const auto found = waiting_.find(number);
    found->second.promise.Resolve(Napi::Number::New(Env(), error));
    waiting_.erase(found);
  }
  if (!waited || !waiting_.empty()) return;
  uv_unref(reinterpret_cast<uv_handle_t*>(&wake_->handle));
  Unref();
}

void FuseNotifier::CloseMethod(const Napi::CallbackInfo&) {
  const auto waiting = std::exchange(waiting_, {});
  const bool held = !waiting.empty();
  for (const auto& [number, entry] : waiting) {
    entry.promise.Resolve(Napi::Number::New(Env(), ENODEV));
  }
  Close();
  if (held) Unref();
}

void FuseNotifier::Close() {
  if (wake_ == nullptr) return;
  if (lanes_ != nullptr) lanes_->Close();
  lanes_.reset();
  Wake* wake = std::exchange(wake_, nullptr);
  wake->notifier = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&wake->handle), Wake::OnClosed);
}

}  // namespace dfs
