#include "clocks.h"

#include <time.h>

#include "napi_util.h"

namespace dfs {
namespace {

Napi::Value BootMs(const Napi::CallbackInfo& info) {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  const double ms = static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
  return Napi::Number::New(info.Env(), ms);
}

void Realtime(const Napi::CallbackInfo& info) {
  void* data = nullptr;
  size_t length = 0;
  napi_typedarray_type type = napi_uint8_array;
  const bool isArray = info[0].IsTypedArray() &&
                       napi_get_typedarray_info(info.Env(), info[0], &type, &length, &data,
                                                nullptr, nullptr) == napi_ok;
  if (!isArray || type != napi_float64_array || length < 2) {
    Napi::TypeError::New(info.Env(), "target must be a Float64Array of two elements or more")
        .ThrowAsJavaScriptException();
    return;
  }
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  auto* target = static_cast<double*>(data);
  target[0] = static_cast<double>(now.tv_sec);
  target[1] = static_cast<double>(now.tv_nsec);
}

}  // namespace

void InitClocks(Napi::Env env, Napi::Object exports) {
  exports.Set("bootMs", Napi::Function::New<BootMs>(env, "bootMs"));
  exports.Set("realtime", Napi::Function::New<Realtime>(env, "realtime"));
}

}  // namespace dfs
