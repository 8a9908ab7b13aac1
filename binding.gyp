# The C++ parts. Flags common to all targets stand first; the addon is the only one that sees
# Node-API, so that an executable can share the pure files (mount_calls, crc32c) with it.
{
  'target_defaults': {
    'cflags!': ['-O3'],
    'cflags': ['-O2', '-Wall', '-Wextra', '-Werror', '-fvisibility=hidden'],
    'cflags_cc!': ['-std=gnu++17', '-std=gnu++20'],
    'cflags_cc': ['-std=c++20'],
    'configurations': {
      'Release': {'cflags!': ['-O3']},
    },
  },
  'targets': [
    {
      'target_name': 'dfs',
      'sources': [
        'native/addon.cc',
        'native/checksum.cc',
        'native/clocks.cc',
        'native/crc32c.cc',
        'native/file_io.cc',
        'native/fuse_abort.cc',
        'native/fuse_mount.cc',
        'native/fuse_notifier.cc',
        'native/fuse_session.cc',
        'native/mount_calls.cc',
        'native/napi_util.cc',
        'native/notifier_lanes.cc',
        'native/threads.cc',
      ],
      # A thread that the kernel keeps may return after the last environment has unloaded this.
      'ldflags': ['-Wl,-z,nodelete'],
      'defines': ['NAPI_VERSION=8', 'NAPI_DISABLE_CPP_EXCEPTIONS', '_GNU_SOURCE'],
      # Foreign headers: warnings in them are not ours to fix.
      'cflags_cc': [
        '-isystem ../node_modules/node-addon-api',
        '-isystem <(nodedir)/include/node',
      ],
    },
    {
      'target_name': 'dfs-guardian',
      'type': 'executable',
      'sources': [
        'native/fuse_abort.cc',
        'native/guardian.cc',
        'native/guardian_files.cc',
        'native/guardian_mount.cc',
        'native/guardian_purge.cc',
        'native/guardian_role.cc',
        'native/guardian_watch.cc',
        'native/mount_calls.cc',
        'native/threads.cc',
      ],
      'defines': ['_GNU_SOURCE'],
    },
  ],
}
