// Adds pread, pwrite, fallocate, fstat and flock to the addon.
#ifndef DFS_NATIVE_FILE_IO_H_
#define DFS_NATIVE_FILE_IO_H_

#include <napi.h>

namespace dfs {

void InitFileIo(Napi::Env env, Napi::Object exports);

}  // namespace dfs

#endif  // DFS_NATIVE_FILE_IO_H_
