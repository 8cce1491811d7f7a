// Matrix products: rows G1-G14, with Eigen's as compiled by the same flags beside.
#include "row_benchmark.hpp"
#include "rows/gemm.hpp"

int main(int argc, char** argv) { return bench::run(argc, argv, bench::gemm_rows()); }
