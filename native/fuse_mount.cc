#include "fuse_mount.h"

#include "fuse_abort.h"
#include "mount_calls.h"
#include "napi_util.h"

namespace dfs {
namespace {

// umount2 may wait for replies of this very process, so it runs on the thread pool.
class UnmountWorker : public Napi::AsyncWorker {
 public:
  UnmountWorker(Napi::Env env, std::string mountpoint, int flags)
      : AsyncWorker(env, "dfs.unmount"),
        mountpoint_(std::move(mountpoint)),
        flags_(flags),
        deferred_(Napi::Promise::Deferred::New(env)) {}

  Napi::Promise Promise() const { return deferred_.Promise(); }

 protected:
  // On the pool thread.
  void Execute() override { failure_ = UnmountFuse(mountpoint_, flags_); }

  // On the main thread.
  void OnOK() override {
    if (failure_.error == 0) {
      deferred_.Resolve(Env().Undefined());
    } else {
      deferred_.Reject(
          SystemError(Env(), failure_.error, failure_.syscall, failure_.detail).Value());
    }
  }

 private:
  const std::string mountpoint_;
  const int flags_;
  const Napi::Promise::Deferred deferred_;
  MountFailure failure_;
};

Napi::Value Mount(const Napi::CallbackInfo& info) {
  if (!info[0].IsObject()) {
    Napi::TypeError::New(info.Env(), "options must be an object").ThrowAsJavaScriptException();
    return {};
  }
  const Napi::Object options = info[0].As<Napi::Object>();
  const auto text = [&](const char* name) { return ToText(options.Get(name), name); };
  const auto mountpoint = text("mountpoint");
  if (!mountpoint) return {};
  const auto source = text("source");
  if (!source) return {};
  const auto subtype = text("subtype");
  if (!subtype) return {};
  const auto flags = ToInteger(options.Get("flags"), "flags", kUint32Range);
  if (!flags) return {};
  const auto fuse_options = text("options");
  if (!fuse_options) return {};
  UniqueFd fd;
  const MountFailure failure = MountFuse({*mountpoint, *source, *subtype,
                                          static_cast<unsigned long>(*flags), *fuse_options},
                                         fd);
  if (failure.error != 0) {
    SystemError(info.Env(), failure.error, failure.syscall, failure.detail)
        .ThrowAsJavaScriptException();
    return {};
  }
  return Napi::Number::New(info.Env(), fd.Release());
}

// (mountpoint, flags)
Napi::Value Unmount(const Napi::CallbackInfo& info) {
  auto mountpoint = ToText(info[0], "mountpoint");
  if (!mountpoint) return {};
  const auto flags = ToInteger(info[1], "flags", kInt32Range);
  if (!flags) return {};
  // Deletes itself when it is done, as every AsyncWorker does.
  auto* worker =
      new UnmountWorker(info.Env(), std::move(*mountpoint), static_cast<int>(*flags));
  worker->Queue();
  return worker->Promise();
}

// (fd)
Napi::Value AbortConnection(const Napi::CallbackInfo& info) {
  const auto fd = ToInteger(info[0], "fd", kInt32Range);
  if (!fd) return {};
  return Napi::Boolean::New(info.Env(), AbortFuse(static_cast<int>(*fd)));
}

}  // namespace

void InitFuseMount(Napi::Env env, Napi::Object exports) {
  exports.Set("fuseMount", Napi::Function::New<Mount>(env, "fuseMount"));
  exports.Set("abortConnection", Napi::Function::New<AbortConnection>(env, "abortConnection"));
  exports.Set("unmount", Napi::Function::New<Unmount>(env, "unmount"));
}

}  // namespace dfs
