"""Operations that keep the promises environments.* and environment.*."""
