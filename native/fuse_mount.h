// Adds fuseMount, unmount and abortConnection to the addon.
#ifndef DFS_NATIVE_FUSE_MOUNT_H_
#define DFS_NATIVE_FUSE_MOUNT_H_

#include <napi.h>

namespace dfs {

void InitFuseMount(Napi::Env env, Napi::Object exports);

}  // namespace dfs

#endif  // DFS_NATIVE_FUSE_MOUNT_H_
