// What `require('dfs.node')` returns. Every capability adds its own functions; none keeps state
// outside the objects it makes, so any number of threads may load the addon. A session closes
// itself through a cleanup hook of its environment.
#include <napi.h>

#include "checksum.h"
#include "clocks.h"
#include "file_io.h"
#include "fuse_mount.h"
#include "fuse_notifier.h"
#include "fuse_session.h"

namespace dfs {
namespace {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  FuseSession::Init(env, exports);
  FuseNotifier::Init(env, exports);
  InitFuseMount(env, exports);
  InitFileIo(env, exports);
  InitChecksum(env, exports);
  InitClocks(env, exports);
  return exports;
}

NODE_API_MODULE(dfs, Init)

}  // namespace
}  // namespace dfs
