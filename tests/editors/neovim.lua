-- What a person does in Neovim, with the settings that README.md shows: open a file of a
-- project, read what is found, type, and have it repaired.  Ends with an error if it fails.

local patience = 120000

local function fail(message)
  io.stderr:write("neovim: " .. message .. "\n")
  vim.cmd("cquit 1")
end

local function codes()
  local found = {}
  for _, diagnostic in ipairs(vim.diagnostic.get(0)) do
    found[diagnostic.code] = diagnostic
  end
  return found
end

local function wait(what, holds)
  if not vim.wait(patience, holds, 50) then
    fail("waited in vain until " .. what .. "; found " .. vim.inspect(vim.tbl_keys(codes())))
  end
end

vim.cmd("filetype on")
dofile(vim.env.RNNLINT_SETTINGS)
vim.cmd("edit train.py")
wait("the finding is shown", function()
  return codes().RNN201 ~= nil
end)

local row = codes().RNN201.lnum
local line = vim.api.nvim_buf_get_lines(0, row, row + 1, true)[1]
if not line:find("backward") then
  fail("the finding is shown at " .. line)
end

vim.api.nvim_buf_set_lines(0, 0, 0, true, { "# \240\157\132\158, which is two units of UTF-16" })
wait("the finding has moved", function()
  return codes().RNN201 and codes().RNN201.lnum == row + 1
end)

vim.cmd("RnnlintFixAll")
wait("the finding is gone", function()
  return codes().RNN201 == nil
end)
vim.cmd("write")

vim.lsp.stop_client(vim.lsp.get_active_clients and vim.lsp.get_active_clients() or vim.lsp.get_clients())
wait("the server has ended", function()
  local clients = vim.lsp.get_clients and vim.lsp.get_clients() or vim.lsp.get_active_clients()
  return #clients == 0
end)
vim.cmd("qall!")
