import numpy as np
import pandas as pd
import pytest
import torch

from recollect.core import ConfigError
from recollect.memory import Empirical

TAPS = [1.0, -0.5, 0.25]


def write(path, suffix):
    file = path / f"measured{suffix}"
    match suffix:
        case ".npy":
            np.save(file, np.array(TAPS))
        case ".txt":
            np.savetxt(file, TAPS)
        case ".csv":
            pd.DataFrame({"rho": TAPS}).to_csv(file, index=False)
        case ".parquet":
            pd.DataFrame({"rho": TAPS}).to_parquet(file)
    return file


@pytest.mark.parametrize("suffix", [".npy", ".txt", ".csv", ".parquet"])
def test_a_file_gives_the_same_config_as_its_numbers(tmp_path, suffix):
    read = Empirical.parse({"path": str(write(tmp_path, suffix))})
    assert read.label == "empirical(measured)"
    assert read.digest() == Empirical(taps=tuple(TAPS), name="measured").digest()


def test_the_config_outlives_its_file(tmp_path):
    file = write(tmp_path, ".csv")
    stored = Empirical.parse({"path": str(file)}).canonical_json()
    file.unlink()
    assert Empirical.model_validate_json(stored).values(3).tolist() == TAPS


def test_values_is_another_word_for_taps():
    assert Empirical.parse({"values": TAPS}) == Empirical(taps=tuple(TAPS))


def test_a_column_is_chosen_by_its_name(tmp_path):
    file = tmp_path / "two.csv"
    pd.DataFrame({"lag": [0, 1, 2], "rho": TAPS}).to_csv(file, index=False)
    assert Empirical.parse({"path": file, "column": "rho"}).values(3).tolist() == TAPS
    with pytest.raises(ConfigError, match="several columns; name one as `column`: lag, rho"):
        Empirical.parse({"path": file})
    with pytest.raises(ConfigError, match="did you mean 'rho'"):
        Empirical.parse({"path": file, "column": "rhoo"})


def test_between_the_taps_it_is_linear_and_beyond_them_zero():
    got = Empirical(taps=tuple(TAPS), spacing=2.0).values(7)
    want = torch.tensor([1.0, 0.25, -0.5, -0.125, 0.25, 0.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "either `taps`"),
        ({"taps": TAPS, "path": "rho.npy"}, "either `taps`"),
        ({"taps": []}, "at least 1 item"),
        ({"taps": [1.0, float("nan")]}, "finite number"),
        ({"path": "missing.npy"}, "cannot read 'missing.npy'"),
        ({"path": "rho.xlsx"}, "unknown type of file for a memory function '.xlsx'"),
        ({"path": 3}, "empirical.path: Input is not a valid path"),
    ],
)
def test_broken_numbers_are_refused_with_the_reason(data, message):
    with pytest.raises(ConfigError) as caught:
        Empirical.parse(data)
    assert message in str(caught.value)


def test_a_first_number_is_not_lost_as_the_name_of_a_column(tmp_path):
    file = tmp_path / "bare.csv"
    np.savetxt(file, TAPS)
    with pytest.raises(ConfigError, match=r"save bare numbers as \.txt"):
        Empirical.parse({"path": file})
