#include "napi_util.h"

#include <uv.h>

#include <cmath>
#include <system_error>

namespace dfs {
namespace {

void ThrowType(Napi::Env env, const char* name, const char* expected) {
  const std::string message = std::string(name) + " must be " + expected;
  Napi::TypeError::New(env, message).ThrowAsJavaScriptException();
}

void ThrowRange(Napi::Env env, const std::string& message) {
  Napi::RangeError::New(env, message).ThrowAsJavaScriptException();
}

}  // namespace

std::string ErrnoName(int error) {
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 32)
  // libuv's table lacks some numbers, ESTALE among them.
  if (const char* name = strerrorname_np(error)) return name;
#endif
  char name[64];
  return uv_err_name_r(-error, name, sizeof name);
}

Napi::Error SystemError(Napi::Env env, int error, const char* syscall, std::string_view detail) {
  const std::string name = ErrnoName(error);
  std::string message = name + ": ";
  message += detail.empty() ? std::generic_category().message(error) : std::string(detail);
  message += std::string(", ") + syscall;
  Napi::Error result = Napi::Error::New(env, message);
  result.Set("errno", Napi::Number::New(env, error));
  result.Set("code", Napi::String::New(env, name));
  result.Set("syscall", Napi::String::New(env, syscall));
  return result;
}

void ThrowErrno(Napi::Env env, int error, const char* syscall) {
  SystemError(env, error, syscall).ThrowAsJavaScriptException();
}

std::optional<int64_t> ToInteger(Napi::Value value, const char* name, IntegerRange range) {
  double number = 0;
  if (napi_get_value_double(value.Env(), value, &number) != napi_ok) {
    ThrowType(value.Env(), name, "a number");
    return {};
  }
  // Both limits are at most 2^53, so exact as doubles; NaN fails every comparison.
  const bool inside = number >= static_cast<double>(range.min) &&
                      number <= static_cast<double>(range.max) && std::trunc(number) == number;
  if (!inside) {
    ThrowRange(value.Env(), std::string(name) + " must be an integer from " +
                                std::to_string(range.min) + " to " + std::to_string(range.max));
    return {};
  }
  return static_cast<int64_t>(number);
}

std::optional<std::string> ToText(Napi::Value value, const char* name) {
  if (!value.IsString()) {
    ThrowType(value.Env(), name, "a string");
    return {};
  }
  std::string text = value.As<Napi::String>().Utf8Value();
  if (text.find('\0') != std::string::npos) {
    ThrowRange(value.Env(), std::string(name) + " must not contain a NUL");
    return {};
  }
  return text;
}

std::optional<std::span<std::byte>> ToBytes(Napi::Value value, const char* name) {
  void* data = nullptr;
  size_t length = 0;
  napi_typedarray_type type = napi_uint8_array;
  napi_status status = napi_invalid_arg;
  if (value.IsArrayBuffer()) {
    status = napi_get_arraybuffer_info(value.Env(), value, &data, &length);
  } else if (value.IsTypedArray()) {
    status = napi_get_typedarray_info(value.Env(), value, &type, &length, &data, nullptr, nullptr);
  }
  if (status != napi_ok || type != napi_uint8_array) {
    ThrowType(value.Env(), name, "a Uint8Array or ArrayBuffer");
    return {};
  }
  return std::span(static_cast<std::byte*>(data), length);
}

std::optional<std::span<std::byte>> ToByteRange(const Napi::CallbackInfo& info, size_t index) {
  const auto bytes = ToBytes(info[index], "data");
  if (!bytes) return {};
  const auto offset = ToInteger(info[index + 1], "offset", kOffsetRange);
  if (!offset) return {};
  const auto length = ToInteger(info[index + 2], "length", kOffsetRange);
  if (!length) return {};
  const auto from = static_cast<size_t>(*offset);
  const auto count = static_cast<size_t>(*length);
  if (from > bytes->size() || count > bytes->size() - from) {
    ThrowRange(info.Env(), "offset " + std::to_string(from) + " and length " +
                               std::to_string(count) + " reach beyond the " +
                               std::to_string(bytes->size()) + " bytes of the data");
    return {};
  }
  return bytes->subspan(from, count);
}

}  // namespace dfs
