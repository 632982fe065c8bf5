// The flags of benchmark_bin as a table. `--name=value` and `--name value` mean the same, `-` and
// `_` in a name too.
#include "tools/flags.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

namespace ptq {
namespace {

struct FlagRow {
  const char* name;
  int64_t BenchmarkFlags::* number;  // one of the four is set
  double BenchmarkFlags::* real;
  const char* BenchmarkFlags::* text;
  bool BenchmarkFlags::* boolean;
  int64_t minimum, maximum;  // of a number or real
  const char* help;
};

using F = BenchmarkFlags;
constexpr FlagRow kRows[] = {
    {"warmup", &F::warmup, nullptr, nullptr, nullptr, 0, 1000000, "runs before measuring (10)"},
    {"repeats", &F::repeats, nullptr, nullptr, nullptr, 1, 1000000, "measured runs (30)"},
    {"threads", &F::threads, nullptr, nullptr, nullptr, 1, 64, "threads, this one included (1)"},
    {"seed", &F::seed, nullptr, nullptr, nullptr, 0, INT32_MAX,
     "of the random inputs used when --input is absent (1)"},
    {"until_ci", nullptr, &F::until_ci, nullptr, nullptr, 0, 100,
     "at least --repeats runs, then until each median is known to +- this percentage (0: off)"},
    {"max_seconds", nullptr, &F::max_seconds, nullptr, nullptr, 0, 86400,
     "with --until_ci: stop after this time in any case (60)"},
    {"result_filename", nullptr, nullptr, &F::result_filename, nullptr, 0, 0,
     "append one line per model to it (res.txt)"},
    {"json", nullptr, nullptr, &F::json, nullptr, 0, 0,
     "write all measurements to this file, or - for standard output"},
    {"input", nullptr, nullptr, &F::input, nullptr, 0, 0,
     "raw little-endian bytes of each input: FILE[,FILE] (one model only)"},
    {"dump_output", nullptr, nullptr, &F::dump_output, nullptr, 0, 0,
     "write the raw bytes of all outputs (one model only)"},
    {"cpu_affinity", nullptr, nullptr, &F::cpu_affinity, nullptr, 0, 0,
     "keep the threads on these CPUs, the first on this one: N[,N]"},
    {"profile", nullptr, nullptr, nullptr, &F::profile, 0, 0,
     "measure every operator, in extra runs"},
    {"count_markers", nullptr, nullptr, nullptr, &F::count_markers, 0, 0,
     "for instruction counters: close(-4242), the runs without any clock, close(-4243); no "
     "results"},
    {"help", nullptr, nullptr, nullptr, &F::help, 0, 0, "print this text"},
    {"version", nullptr, nullptr, nullptr, &F::version, 0, 0, "print the version"},
};

bool NameMatches(const char* row, const char* name, size_t length) {
  if (strlen(row) != length) return false;
  for (size_t i = 0; i < length; ++i) {
    if (row[i] != (name[i] == '-' ? '_' : name[i])) return false;
  }
  return true;
}

ptq_status SetNumber(const FlagRow& row, const char* value, int64_t* out) {
  char* end = nullptr;
  errno = 0;
  const long long number = strtoll(value, &end, 10);
  if (end == value || *end != '\0' || errno != 0 || number < row.minimum || number > row.maximum) {
    return Fail(PTQ_INVALID_ARGUMENT,
                "--%s: '%.40s' is not a whole number in %" PRId64 " ... %" PRId64, row.name, value,
                row.minimum, row.maximum);
  }
  *out = number;
  return PTQ_OK;
}

ptq_status SetReal(const FlagRow& row, const char* value, double* out) {
  char* end = nullptr;
  const double number = strtod(value, &end);
  if (end == value || *end != '\0' || !(number >= static_cast<double>(row.minimum)) ||
      !(number <= static_cast<double>(row.maximum))) {
    return Fail(PTQ_INVALID_ARGUMENT, "--%s: '%.40s' is not a number in %" PRId64 " ... %" PRId64,
                row.name, value, row.minimum, row.maximum);
  }
  *out = number;
  return PTQ_OK;
}

ptq_status SetBoolean(const FlagRow& row, const char* value, bool* out) {
  if (value == nullptr || strcmp(value, "true") == 0 || strcmp(value, "1") == 0) {
    *out = true;
  } else if (strcmp(value, "false") == 0 || strcmp(value, "0") == 0) {
    *out = false;
  } else {
    return Fail(PTQ_INVALID_ARGUMENT, "--%s: '%.40s' is not true or false", row.name, value);
  }
  return PTQ_OK;
}

// `next` is the argument after the flag, or null; *used_next tells whether it was the flag's value.
ptq_status SetFlag(const char* argument, const char* next, BenchmarkFlags* flags, bool* used_next) {
  const char* name = argument + 2;
  const char* equals = strchr(name, '=');
  const size_t length = equals != nullptr ? static_cast<size_t>(equals - name) : strlen(name);
  for (const FlagRow& row : kRows) {
    if (!NameMatches(row.name, name, length)) continue;
    const char* value = equals != nullptr ? equals + 1 : nullptr;
    if (row.boolean != nullptr) return SetBoolean(row, value, &(flags->*row.boolean));
    if (value == nullptr) {
      if (next == nullptr) return Fail(PTQ_INVALID_ARGUMENT, "--%s: needs a value", row.name);
      value = next;
      *used_next = true;
    }
    if (row.number != nullptr) return SetNumber(row, value, &(flags->*row.number));
    if (row.real != nullptr) return SetReal(row, value, &(flags->*row.real));
    flags->*row.text = value;
    return PTQ_OK;
  }
  return Fail(PTQ_INVALID_ARGUMENT, "%.60s: no such flag; --help lists them", argument);
}

}  // namespace

ptq_status ParseFlags(int argc, char** argv, BenchmarkFlags* flags) {
  PTQ_RETURN_IF_ERROR(flags->models.Allocate(static_cast<size_t>(argc)));
  for (int i = 1; i < argc; ++i) {
    if (strncmp(argv[i], "--", 2) != 0) {
      flags->models[flags->model_count++] = argv[i];
      continue;
    }
    bool used_next = false;
    PTQ_RETURN_IF_ERROR(SetFlag(argv[i], i + 1 < argc ? argv[i + 1] : nullptr, flags, &used_next));
    if (used_next) ++i;
  }
  if (flags->help || flags->version) return PTQ_OK;
  if (flags->model_count == 0) {
    return Fail(PTQ_INVALID_ARGUMENT,
                "no model given; usage: benchmark_bin [flags] A.nb [B.nb ...]");
  }
  if (flags->model_count > 1 && (flags->input[0] != '\0' || flags->dump_output[0] != '\0')) {
    return Fail(PTQ_INVALID_ARGUMENT, "--input and --dump_output: need exactly one model, not %zu",
                flags->model_count);
  }
  return PTQ_OK;
}

void PrintUsage() {
  printf("usage: benchmark_bin [flags] A.nb [B.nb ...]\n\n");
  for (const FlagRow& row : kRows) printf("  --%-16s %s\n", row.name, row.help);
  printf(
      "\nWith several models their runs take turns. PTQ_CPU=scalar|neon|dotprod|... limits the "
      "instruction sets.\n");
}

}  // namespace ptq
