// Attention of feature maps by timm's names: a table of its own, beside timm.
#include "row_benchmark.hpp"
#include "rows/gates.hpp"

int main(int argc, char** argv) { return bench::run(argc, argv, bench::gate_rows()); }
