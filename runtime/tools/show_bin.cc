// show_bin: what a flat file holds, and which kernels this build chooses for it on a given CPU.
//
//   show_bin FILE.nb                      the file as text, and the kernels on this CPU
//   show_bin --dump FILE.nb               the file alone
//   show_bin --choices [--cpu=LEVEL] FILE.nb   per operator the kernel, and why not the others
//   show_bin --kernels [--cpu=LEVEL]      the lists of kernels, and what each requires
//   show_bin --levels                     the CPU levels that this build has kernels for
//
// A level is one of PTQ_CPU's; any level can be asked for on any CPU, as nothing is run.
// Exit codes: 0 done; 2 a wrong flag or model file; 3 out of memory, or the output cannot be
// written.
#include <stdio.h>
#include <string.h>

#include "base/cpu_features.h"
#include "program/program.h"
#include "tools/dump.h"
#include "tools/kernel_lists.h"

namespace {

using ptq::Fail;

enum Mode { kShow, kDump, kChoices, kKernels, kLevels };

struct ModeFlag {
  const char* flag;
  Mode mode;
};
constexpr ModeFlag kModeFlags[] = {
    {"--dump", kDump}, {"--choices", kChoices}, {"--kernels", kKernels}, {"--levels", kLevels}};

struct Request {
  Mode mode = kShow;
  const char* level = nullptr;  // null: this CPU
  const char* path = nullptr;
};

ptq_status ParseArgument(const char* argument, Request* request) {
  if (strncmp(argument, "--", 2) != 0) {
    if (request->path != nullptr)
      return Fail(PTQ_INVALID_ARGUMENT, "%.60s: one file only", argument);
    request->path = argument;
    return PTQ_OK;
  }
  if (strncmp(argument, "--cpu=", 6) == 0) {
    request->level = argument + 6;
    return PTQ_OK;
  }
  for (const ModeFlag& row : kModeFlags) {
    if (strcmp(argument, row.flag) != 0) continue;
    request->mode = row.mode;
    return PTQ_OK;
  }
  return Fail(PTQ_INVALID_ARGUMENT,
              "%.60s: no such flag; usage: show_bin [--dump|--choices|--kernels|--levels] "
              "[--cpu=LEVEL] [FILE.nb]",
              argument);
}

bool IsOfThisBuild(const ptq::CpuLevel& level) {
  return (level.features & ~ptq::FeaturesOfThisBuild()) == 0;
}

ptq_status ResolveLevel(const char* name, uint32_t* features) {
  if (name == nullptr) {
    *features = ptq::DetectCpuFeatures();
    return PTQ_OK;
  }
  for (size_t i = 0; i < ptq::kCpuLevelCount; ++i) {
    const ptq::CpuLevel& level = ptq::kCpuLevels[i];
    if (strcmp(name, level.name) != 0 || !IsOfThisBuild(level)) continue;
    *features = level.features;
    return PTQ_OK;
  }
  return Fail(PTQ_INVALID_ARGUMENT,
              "--cpu=%.40s: this build has no such level; --levels lists them", name);
}

void PrintLevels() {
  for (size_t i = 0; i < ptq::kCpuLevelCount; ++i) {
    if (IsOfThisBuild(ptq::kCpuLevels[i])) printf("%s\n", ptq::kCpuLevels[i].name);
  }
}

void PrintKernels(uint32_t features) {
  for (size_t l = 0; l < ptq::kKernelListCount; ++l) {
    const ptq::AnyKernelList& list = ptq::kKernelLists[l];
    for (size_t i = 0; i < list.count(); ++i) {
      const ptq::KernelRow row = list.row(i);
      const uint32_t missing = row.requires_features & ~features;
      printf("%s: ", row.name);
      if (missing == 0) {
        fputs("can run", stdout);
      } else {
        ptq::PrintMissing(stdout, missing);
      }
      fputc('\n', stdout);
    }
  }
}

// The rows for the same operation and types, and why they were not chosen. A row before the chosen
// one that the CPU can run was passed over by its shape.
void PrintOthers(const char* chosen, uint32_t features) {
  const ptq::AnyKernelList* list = ptq::FindKernelList(chosen);
  if (list == nullptr) return;
  bool behind = false;
  for (size_t i = 0; i < list->count(); ++i) {
    const ptq::KernelRow row = list->row(i);
    if (strcmp(row.name, chosen) == 0) {
      behind = true;
      continue;
    }
    if (!ptq::SameOperation(row.name, chosen)) continue;
    printf("  %s: ", row.name);
    const uint32_t missing = row.requires_features & ~features;
    if (missing != 0) {
      ptq::PrintMissing(stdout, missing);
    } else {
      fputs(behind ? "behind it in the list, best first" : "made for another shape", stdout);
    }
    fputc('\n', stdout);
  }
}

ptq_status ShowFile(const Request& request) {
  if (request.path == nullptr) return Fail(PTQ_INVALID_ARGUMENT, "no FILE.nb given");
  uint32_t features = 0;
  PTQ_RETURN_IF_ERROR(ResolveLevel(request.level, &features));
  ptq_program program;
  if (request.mode == kDump) {
    PTQ_RETURN_IF_ERROR(program.mapped.Open(request.path));
    const uint8_t* data = program.mapped.data();
    const size_t size = program.mapped.size();
    PTQ_RETURN_IF_ERROR(ptq::ParseFlatFile(data, size, &program.file));
    return ptq::DumpFile(data, size, program.file, stdout);
  }
  PTQ_RETURN_IF_ERROR(program.LoadFile(request.path, features));
  if (request.mode == kShow) {
    PTQ_RETURN_IF_ERROR(
        ptq::DumpFile(program.mapped.data(), program.mapped.size(), program.file, stdout));
  }
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const ptq::PreparedOp& op = program.ops[i];
    printf("kernel %zu %s\n", i, op.kernel);
    if (request.mode == kChoices) PrintOthers(op.kernel, features);
  }
  return PTQ_OK;
}

ptq_status Run(int argc, char** argv) {
  Request request;
  for (int i = 1; i < argc; ++i) PTQ_RETURN_IF_ERROR(ParseArgument(argv[i], &request));
  if (request.mode == kLevels) {
    PrintLevels();
    return PTQ_OK;
  }
  if (request.mode != kKernels) return ShowFile(request);
  uint32_t features = 0;
  PTQ_RETURN_IF_ERROR(ResolveLevel(request.level, &features));
  PrintKernels(features);
  return PTQ_OK;
}

}  // namespace

int main(int argc, char** argv) {
  const ptq_status status = Run(argc, argv);
  if (status != PTQ_OK) {
    fprintf(stderr, "show_bin: %s\n", ptq_last_error());
    return status == PTQ_OUT_OF_MEMORY ? 3 : 2;
  }
  return fflush(stdout) == 0 ? 0 : 3;
}
