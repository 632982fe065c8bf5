// QEMU user-mode TCG plugin: how often each translation block ran between two marker system calls,
// close(-4242) and close(-4243), of a program for AArch64. Writes to the file of argument out=FILE,
// after the program's end, one line per block:
//   address executions word word ...       (hexadecimal, decimal, then its instructions in
//   hexadecimal)
// and nothing if a marker never came. One guest thread only: the counters are not atomic.
//
// Distributions package no header of the plugin interface; this declares the part of version 1 that
// is used here.
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t PluginId;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info_t;
typedef void (*TranslateCallback)(PluginId, struct qemu_plugin_tb*);
typedef void (*SyscallCallback)(PluginId, unsigned vcpu, int64_t number, uint64_t, uint64_t,
                                uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);
typedef void (*ExitCallback)(PluginId, void*);
extern void qemu_plugin_register_vcpu_tb_trans_cb(PluginId, TranslateCallback);
extern void qemu_plugin_register_vcpu_syscall_cb(PluginId, SyscallCallback);
extern void qemu_plugin_register_atexit_cb(PluginId, ExitCallback, void*);
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb*, int op, void* counter,
                                                     uint64_t increment);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb*);
extern uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb*);
extern struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb*, size_t);
extern const void* qemu_plugin_insn_data(const struct qemu_plugin_insn*);

EXPORT int qemu_plugin_version = 1;

enum { kAddU64 = 0, kSyscallClose = 57, kMarkerBegin = -4242, kMarkerEnd = -4243 };

typedef struct Block {
  uint64_t executions, at_begin, at_end, address;
  size_t length;
  uint32_t* words;
  struct Block* next;         // all blocks
  struct Block* next_bucket;  // of the same hash
} Block;

enum { kBuckets = 1 << 16 };
static Block* all_blocks;
static Block* buckets[kBuckets];
static const char* out_path;
static bool ended;

static bool Matches(const Block* block, const struct qemu_plugin_tb* tb) {
  if (block->address != qemu_plugin_tb_vaddr(tb) || block->length != qemu_plugin_tb_n_insns(tb))
    return false;
  for (size_t i = 0; i < block->length; ++i) {
    if (memcmp(&block->words[i], qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, i)), 4) != 0)
      return false;
  }
  return true;
}

static Block* NewBlock(const struct qemu_plugin_tb* tb) {
  Block* block = calloc(1, sizeof *block);
  block->address = qemu_plugin_tb_vaddr(tb);
  block->length = qemu_plugin_tb_n_insns(tb);
  block->words = calloc(block->length, sizeof *block->words);
  for (size_t i = 0; i < block->length; ++i) {
    memcpy(&block->words[i], qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, i)), 4);
  }
  block->next = all_blocks;
  all_blocks = block;
  return block;
}

// QEMU translates a block again when its code cache was full: such a block goes on counting where
// it was.
static void OnTranslate(PluginId id, struct qemu_plugin_tb* tb) {
  (void)id;
  Block** bucket = &buckets[(qemu_plugin_tb_vaddr(tb) >> 2) % kBuckets];
  Block* block = *bucket;
  while (block != NULL && !Matches(block, tb)) block = block->next_bucket;
  if (block == NULL) {
    block = NewBlock(tb);
    block->next_bucket = *bucket;
    *bucket = block;
  }
  qemu_plugin_register_vcpu_tb_exec_inline(tb, kAddU64, &block->executions, 1);
}

static void OnSyscall(PluginId id, unsigned vcpu, int64_t number, uint64_t a1, uint64_t a2,
                      uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7,
                      uint64_t a8) {
  (void)id, (void)vcpu, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
  if (number != kSyscallClose) return;
  if ((int32_t)a1 == kMarkerBegin) {
    for (Block* block = all_blocks; block != NULL; block = block->next)
      block->at_begin = block->executions;
  } else if ((int32_t)a1 == kMarkerEnd) {
    for (Block* block = all_blocks; block != NULL; block = block->next)
      block->at_end = block->executions;
    ended = true;
  }
}

static void OnExit(PluginId id, void* user) {
  (void)id, (void)user;
  FILE* out = fopen(out_path, "w");
  if (out == NULL) return;
  for (const Block* block = all_blocks; ended && block != NULL; block = block->next) {
    if (block->at_end == block->at_begin) continue;
    fprintf(out, "%llx %llu", (unsigned long long)block->address,
            (unsigned long long)(block->at_end - block->at_begin));
    for (size_t i = 0; i < block->length; ++i) fprintf(out, " %08x", block->words[i]);
    fputc('\n', out);
  }
  fclose(out);
}

EXPORT int qemu_plugin_install(PluginId id, const struct qemu_info_t* info, int argc, char** argv) {
  (void)info;
  for (int i = 0; i < argc; ++i) {
    if (strncmp(argv[i], "out=", 4) == 0) out_path = strdup(argv[i] + 4);
  }
  if (out_path == NULL) {
    fprintf(stderr, "insn_count: argument out=FILE is missing\n");
    return 1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, OnTranslate);
  qemu_plugin_register_vcpu_syscall_cb(id, OnSyscall);
  qemu_plugin_register_atexit_cb(id, OnExit, NULL);
  return 0;
}
