// Gates, norms, softmax, activations, additive attention: rows S1-S5, N1-N3 and R1 of the table.
#include "row_benchmark.hpp"
#include "rows/small_layers.hpp"

int main(int argc, char** argv) { return bench::run(argc, argv, bench::small_layer_rows()); }
